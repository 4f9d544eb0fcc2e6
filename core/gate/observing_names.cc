#include "core/gate/observing_names.h"

#include <cstdint>
#include <utility>

#include "core/gate/address_records.h"

namespace tunproxy::gate {

std::unique_ptr<net::Attempt> ObservingNames::exchange(const Endpoint& server, Bytes query,
                                                       net::Done<ByteVector> done) {
  return names_.exchange(server, query, [this, done = std::move(done)](Result<ByteVector> answer) {
    if (answer) {
      if (const auto records = parse_address_records(*answer, SIZE_MAX)) {
        for (const IpAddress& address : records->addresses) {
          memory_.remember(address, records->name);
        }
      }
    }
    done(std::move(answer));
  });
}

}  // namespace tunproxy::gate
