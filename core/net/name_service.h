// NameService: answers DNS messages. Implemented by dns::Forwarder and others; used by the TUN's
// port 53.
#pragma once

#include <memory>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/net/proxy.h"

namespace tunproxy::net {

class NameService {
 public:
  NameService() = default;
  NameService(const NameService&) = delete;
  NameService& operator=(const NameService&) = delete;
  virtual ~NameService() = default;

  /// Asks one DNS message (RFC 1035 §4.1, without a length prefix) that a client sent to `server`;
  /// `done` gets the answer with the client's own id, of any length (the caller truncates for UDP).
  /// An Error means: nobody answered in time; the caller stays silent or answers SERVFAIL.
  virtual std::unique_ptr<Attempt> exchange(const Endpoint& server, Bytes query,
                                            Done<ByteVector> done) = 0;
};

}  // namespace tunproxy::net
