#include "bindings/c/listing.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "core/account/account.h"

namespace tunproxy::c_api {
namespace {

constexpr int kTcp = 6;
constexpr int kUdp = 17;

int protocol_of(const account::Flow& flow) {
  return flow.protocol() == rules::Protocol::udp ? kUdp : kTcp;
}

void count_flows(const account::Account& account, tunproxy_stats& stats) {
  for (const account::Flow& flow : account.flows()) {
    ++(protocol_of(flow) == kUdp ? stats.udp_flows : stats.tcp_flows);
  }
  const account::Counters& counters = account.counters();
  for (const auto& source : counters.started) {
    for (const uint64_t command : source) stats.flows += command;
  }
  stats.refused = counters.refused[static_cast<size_t>(ErrorCode::not_allowed)];
  for (const account::Traffic& way : account.ways()) {
    stats.bytes_up += way.up;
    stats.bytes_down += way.down;
  }
}

tunproxy_flow describe(const account::Flow& flow, Instant now) {
  tunproxy_flow to{};
  to.id = flow.id;
  to.protocol = protocol_of(flow);
  to.owner = flow.origin ? flow.origin->owner : -1;
  const Duration age = now - flow.started;
  to.age_ms = static_cast<uint64_t>(std::max<Duration::rep>(age.count(), 0));
  to.bytes_up = flow.up;
  to.bytes_down = flow.down;
  std::snprintf(to.source, sizeof to.source, "%s",
                flow.origin ? flow.origin->program.to_string().c_str() : "");
  if (flow.command == account::Command::associate) return to;
  std::snprintf(to.target, sizeof to.target, "%s", flow.target.to_string().c_str());
  return to;
}

}  // namespace

void fill(Instance& instance, tunproxy_stats& stats) {
  tunproxy_stats now{};
  instance.ask([&](Tunnel& tunnel) {
    const control::TunnelStatus status = tunnel.status();
    now.sessions = static_cast<uint32_t>(status.sessions.size());
    now.reconnects = status.reconnects;
    if (tunnel.account() != nullptr) count_flows(*tunnel.account(), now);
    const auto packets = tunnel.packet_stats();
    now.packets_in = packets.packets_in;
    now.packets_out = packets.packets_out;
    for (const uint64_t dropped : packets.drops) now.packets_dropped += dropped;
  });
  now.state = instance.state();
  now.size = std::min(stats.size, sizeof now);
  std::memcpy(&stats, &now, now.size);
}

// The program's elements may be shorter, or longer, than ours.
size_t fill(Instance& instance, tunproxy_flow* flows, size_t capacity) {
  const size_t stride = capacity > 0 ? flows->size : 0;
  size_t count = 0;
  instance.ask([&](Tunnel& tunnel) {
    if (tunnel.account() == nullptr) return;
    for (const account::Flow& flow : tunnel.account()->flows()) {
      if (count++ >= capacity) continue;
      tunproxy_flow now = describe(flow, tunnel.now());
      now.size = std::min(stride, sizeof now);
      std::memcpy(reinterpret_cast<uint8_t*>(flows) + (count - 1) * stride, &now, now.size);
    }
  });
  return count;
}

}  // namespace tunproxy::c_api
