// tools/relay/tunproxy_relay.py, made smaller (relay_bootstrap.cmake); the .cc is generated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunproxy::udp {

extern const uint8_t kRelayProgram[];
extern const size_t kRelayProgramSize;

}  // namespace tunproxy::udp
