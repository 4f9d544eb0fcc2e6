// DNS over UDP: what of an answer a client can take (RFC 1035 §4.2.1, RFC 6891). Pure.
#pragma once

#include <cstddef>

#include "core/base/bytes.h"

namespace tunproxy::tun2socks {

inline constexpr size_t kPlainDnsSize = 512;

/// Whether this is a query with a header and one question, which is all that a resolver answers.
bool is_dns_query(Bytes message);

/// The largest UDP answer the sender of `query` takes: its EDNS size, or 512 bytes.
size_t dns_answer_limit(Bytes query);

/// `answer` if it has at most `limit` bytes, else its header with the TC bit, its question and its
/// OPT record, so that the client asks again over TCP.
ByteVector fit_dns_answer(Bytes answer, size_t limit);

}  // namespace tunproxy::tun2socks
