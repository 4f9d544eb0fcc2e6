#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <utility>
#include <vector>

#include "core/control/report.h"

namespace tunproxy::control {
namespace {

using account::Counters;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

std::string text(std::string_view view) {
  return std::string(view);
}

// One family of counters or gauges, which are added in the order in which they are to stand.
class Family {
 public:
  Family(std::string name, std::string help, MetricType type = MetricType::Counter) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  void add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
  }
  void add(Labels labels, uint64_t value) { add(std::move(labels), static_cast<double>(value)); }
  void add_to(std::vector<MetricFamily>& families) && { families.push_back(std::move(family_)); }

 private:
  MetricFamily family_;
};

void add_tunnel(const TunnelStatus& tunnel, std::vector<MetricFamily>& all) {
  Family up("tunproxy_up", "Whether the way out is connected", MetricType::Gauge);
  up.add({}, tunnel.state == "online" ? 1.0 : 0.0);
  std::move(up).add_to(all);
  Family uptime("tunproxy_uptime_seconds", "Since the program started", MetricType::Gauge);
  uptime.add({}, static_cast<double>(tunnel.uptime_s));
  std::move(uptime).add_to(all);
  Family memory("tunproxy_memory_bytes", "What buffers and flows take", MetricType::Gauge);
  memory.add({}, static_cast<double>(tunnel.memory_used));
  std::move(memory).add_to(all);
  Family carrier("tunproxy_carrier", "What carries datagrams", MetricType::Gauge);
  carrier.add({{"carrier", tunnel.carrier}}, 1.0);
  std::move(carrier).add_to(all);
  Family online("tunproxy_session_online", "Connections to the server", MetricType::Gauge);
  Family flows("tunproxy_session_flows", "Flows that a connection carries now", MetricType::Gauge);
  Family bytes("tunproxy_session_bytes_total", "Payload that a connection carried");
  for (const SessionStatus& session : tunnel.sessions) {
    online.add({{"session", session.name}}, session.state == "online" ? 1.0 : 0.0);
    flows.add({{"session", session.name}}, static_cast<double>(session.flows));
    bytes.add({{"session", session.name}, {"direction", "up"}}, session.up);
    bytes.add({{"session", session.name}, {"direction", "down"}}, session.down);
  }
  std::move(online).add_to(all);
  std::move(flows).add_to(all);
  std::move(bytes).add_to(all);
  Family associations("tunproxy_udp_associations", "Of the TUN, now", MetricType::Gauge);
  associations.add({}, static_cast<double>(tunnel.udp_associations));
  std::move(associations).add_to(all);
  Family udp("tunproxy_udp_total", "Associations, datagrams and DNS queries of the TUN");
  for (const auto& [event, count] : tunnel.udp) udp.add({{"event", event}}, count);
  std::move(udp).add_to(all);
  Family replies("tunproxy_socks_replies_total", "Replies to requests of SOCKS clients");
  for (const auto& [code, count] : tunnel.replies) replies.add({{"code", code}}, count);
  std::move(replies).add_to(all);
  for (const auto& [group, counts] : tunnel.listener) {
    Family family("tunproxy_listener_" + group + "_total", "What the SOCKS listener counts");
    for (const auto& [kind, count] : counts) family.add({{"kind", kind}}, count);
    std::move(family).add_to(all);
  }
  Family lost("tunproxy_access_log_lost_total",
              "Lines of the access log that could not be written");
  lost.add({}, tunnel.access_log_lost);
  std::move(lost).add_to(all);
}

void add_carriers(const Counters& counters, std::vector<MetricFamily>& all) {
  Family flows("tunproxy_carrier_flows_total", "Associations by what carried them");
  Family datagrams("tunproxy_carrier_datagrams_total", "Datagrams by what carried them");
  Family bytes("tunproxy_carrier_bytes_total", "Payload of datagrams by what carried them");
  for (const auto& [name, traffic] : counters.carriers) {
    flows.add({{"carrier", name}}, traffic.flows);
    datagrams.add({{"carrier", name}, {"direction", "up"}}, traffic.datagrams_up);
    datagrams.add({{"carrier", name}, {"direction", "down"}}, traffic.datagrams_down);
    bytes.add({{"carrier", name}, {"direction", "up"}}, traffic.up);
    bytes.add({{"carrier", name}, {"direction", "down"}}, traffic.down);
  }
  std::move(flows).add_to(all);
  std::move(datagrams).add_to(all);
  std::move(bytes).add_to(all);
}

void add_flows(const account::Account& account, std::vector<MetricFamily>& all) {
  const Counters& counters = account.counters();
  Family now("tunproxy_flows", "Flows that there are now", MetricType::Gauge);
  now.add({}, static_cast<double>(account.flows().size()));
  std::move(now).add_to(all);
  Family started("tunproxy_flows_started_total", "Flows that were asked for");
  for (size_t source = 0; source < Counters::kSources; ++source) {
    for (size_t command = 0; command < Counters::kCommands; ++command) {
      started.add({{"source", text(to_string(static_cast<account::Source>(source)))},
                   {"command", text(to_string(static_cast<account::Command>(command)))}},
                  counters.started[source][command]);
    }
  }
  std::move(started).add_to(all);
  Family ways("tunproxy_flows_decided_total", "Flows by what the rules said");
  Family bytes("tunproxy_bytes_total", "Payload of flows");
  const auto traffic = account.ways();
  for (size_t i = 0; i < traffic.size(); ++i) {
    const std::string way = text(to_string(static_cast<rules::Action>(i)));
    ways.add({{"way", way}}, traffic[i].flows);
    bytes.add({{"way", way}, {"direction", "up"}}, traffic[i].up);
    bytes.add({{"way", way}, {"direction", "down"}}, traffic[i].down);
  }
  std::move(ways).add_to(all);
  std::move(bytes).add_to(all);
}

void add_ends(const Counters& counters, std::vector<MetricFamily>& all) {
  Family refused("tunproxy_flows_refused_total", "Flows that never opened, by the reason");
  Family ended("tunproxy_flows_ended_total", "Open flows that ended, by how");
  ended.add({{"end", "complete"}}, counters.complete);
  ended.add({{"end", "closed"}}, counters.closed);
  for (size_t i = 0; i < Counters::kErrors; ++i) {
    const std::string reason = text(to_string(static_cast<ErrorCode>(i)));
    if (counters.refused[i] != 0) refused.add({{"reason", reason}}, counters.refused[i]);
    if (counters.failed[i] != 0) ended.add({{"end", reason}}, counters.failed[i]);
  }
  std::move(refused).add_to(all);
  std::move(ended).add_to(all);
  Family rules("tunproxy_rule_matches_total", "Decisions by the rule that made them");
  for (const auto& [rule, count] : counters.rules) rules.add({{"rule", rule}}, count);
  std::move(rules).add_to(all);
}

void add_drops(const TunnelStatus& tunnel, const Counters& counters,
               std::vector<MetricFamily>& all) {
  Family drops("tunproxy_drops_total", "Packets and datagrams that went no further, by the reason");
  for (size_t i = 0; i < counters.drops.size(); ++i) {
    drops.add({{"reason", "rules/" + text(to_string(static_cast<account::Drop>(i)))}},
              counters.drops[i]);
  }
  for (const auto& [reason, count] : tunnel.drops) drops.add({{"reason", reason}}, count);
  std::move(drops).add_to(all);
}

}  // namespace

bool has_metrics() {
  return true;
}

std::string metrics_text(const TunnelStatus& tunnel, const account::Account& account) {
  std::vector<MetricFamily> all;
  add_tunnel(tunnel, all);
  add_flows(account, all);
  add_carriers(account.counters(), all);
  add_ends(account.counters(), all);
  add_drops(tunnel, account.counters(), all);
  std::erase_if(all, [](const MetricFamily& family) { return family.metric.empty(); });
  std::ostringstream stream;
  prometheus::TextSerializer().Serialize(stream, all);
  return stream.str();
}

}  // namespace tunproxy::control
