// ObservingNames: a NameService that remembers what it answered.
#pragma once

#include <memory>

#include "core/gate/name_memory.h"
#include "core/net/name_service.h"

namespace tunproxy::gate {

/// Stands in front of the NameService that answers.
class ObservingNames final : public net::NameService {
 public:
  /// REQUIRES: both outlive it.
  ObservingNames(net::NameService& names, NameMemory& memory) : names_(names), memory_(memory) {}

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

 private:
  net::NameService& names_;
  NameMemory& memory_;
};

}  // namespace tunproxy::gate
