// What went wrong with TLS, in words that say what to do.
#pragma once

#include <string>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct ssl_st;
struct x509_store_ctx_st;

namespace tunproxy::tls {

/// A connection's application data (SSL_set_app_data): why its peer's certificate was not taken.
struct Rejection {
  std::string name;    ///< of the server, as a client calls it; empty at a server
  std::string reason;  ///< empty: it was not rejected
};
/// OpenSSL's verify callback: writes the Rejection.
int note_rejection(int accepted, x509_store_ctx_st* store);

/// Takes what OpenSSL's queue of errors says (and empties it).
Error take_failure(const Rejection& rejection);
/// The same for files: "FILE: reason".
Error file_failure(const std::string& file);
/// What a peer is that begins with these bytes instead of a ClientHello; empty: it speaks TLS.
std::string plain_peer(Bytes first);

}  // namespace tunproxy::tls
