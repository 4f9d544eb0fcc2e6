// HTTP CONNECT as a client sees it: pure functions between messages and bytes (RFC 9110 §9.3.6,
// RFC 9112).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/secret.h"

namespace tunproxy::http {

/// For the Basic scheme (RFC 7617).
struct Credentials {
  std::string user;
  Secret password;

  /// An Error (usage): a colon in the user, control characters, or more than 255 bytes of either.
  Result<void> check() const;
};

/// The answer to CONNECT: what comes behind it belongs to the target if `status` is 2xx.
struct ConnectReply {
  unsigned status = 0;
  std::string reason;                ///< printable, short; often empty
  std::vector<std::string> schemes;  ///< of Proxy-Authenticate (RFC 9110 §11.7.1), in lower case

  bool succeeded() const { return status / 100 == 2; }
};

/// A reply's header may be this long, with those of the interim (1xx) replies before it.
inline constexpr size_t kMaxHeader = 16 * 1024;

/// The request; a secret, as the credentials are in it. REQUIRES: credentials->check()
Secret encode_connect(const Target& target, const std::optional<Credentials>& credentials);

/// The final reply, once its header is whole; empty: more is needed. Interim replies are skipped.
/// Takes from `input` only what it consumed: nothing behind the header. Error protocol: no HTTP, or
/// longer than kMaxHeader.
Result<std::optional<ConnectReply>> decode_connect_reply(Bytes& input);

/// What a refusal means, and what to do about it. `tried`: credentials were sent.
/// REQUIRES: !reply.succeeded()
Error error_for(const ConnectReply& reply, bool tried);

}  // namespace tunproxy::http
