#include <algorithm>
#include <iterator>
#include <list>
#include <nlohmann/json.hpp>

#include "core/control/report.h"

namespace tunproxy::control {
namespace {

using account::Account;
using account::Counters;
using Json = nlohmann::ordered_json;

Json session_json(const SessionStatus& session) {
  Json json{{"name", session.name}, {"state", session.state}, {"flows", session.flows},
            {"up", session.up},     {"down", session.down},   {"rtt_ms", session.rtt_ms}};
  if (session.rtt_ms < 0) json["rtt_ms"] = nullptr;
  return json;
}

Json tunnel_json(const TunnelStatus& tunnel) {
  Json json;
  json["state"] = tunnel.state;
  json["server"] = tunnel.server;
  json["uptime_s"] = tunnel.uptime_s;
  json["ways_in"] = tunnel.ways_in;
  json["carrier"] = {{"name", tunnel.carrier}, {"text", tunnel.carrier_text}};
  json["resolver"] = tunnel.resolver;
  json["sessions"] = Json::array();
  for (const SessionStatus& session : tunnel.sessions) {
    json["sessions"].push_back(session_json(session));
  }
  json["memory"] = {{"used", tunnel.memory_used}, {"cap", tunnel.memory_cap}};
  json["udp"] = tunnel.udp;
  json["udp"]["associations"] = tunnel.udp_associations;
  json["drops"] = tunnel.drops;
  json["replies"] = tunnel.replies;
  json["listener"] = tunnel.listener;
  json["access_log_lost"] = tunnel.access_log_lost;
  return json;
}

Json by_error(const std::array<uint64_t, Counters::kErrors>& counts) {
  Json json = Json::object();
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) json[std::string(to_string(static_cast<ErrorCode>(i)))] = counts[i];
  }
  return json;
}

Json started_json(const Counters& counters) {
  Json json;
  for (size_t source = 0; source < Counters::kSources; ++source) {
    Json& commands = json[std::string(to_string(static_cast<account::Source>(source)))];
    for (size_t command = 0; command < Counters::kCommands; ++command) {
      commands[std::string(to_string(static_cast<account::Command>(command)))] =
          counters.started[source][command];
    }
  }
  return json;
}

Json carriers_json(const Counters& counters) {
  Json json = Json::object();
  for (const auto& [name, traffic] : counters.carriers) {
    json[name] = {{"flows", traffic.flows},
                  {"datagrams_up", traffic.datagrams_up},
                  {"datagrams_down", traffic.datagrams_down},
                  {"up", traffic.up},
                  {"down", traffic.down}};
  }
  return json;
}

Json totals_json(const Account& account) {
  const Counters& counters = account.counters();
  Json json;
  json["flows"] = account.flows().size();
  json["started"] = started_json(counters);
  const auto ways = account.ways();
  for (size_t i = 0; i < ways.size(); ++i) {
    json["ways"][std::string(to_string(static_cast<rules::Action>(i)))] = {
        {"flows", ways[i].flows}, {"up", ways[i].up}, {"down", ways[i].down}};
  }
  json["carriers"] = carriers_json(counters);
  json["opened"] = counters.opened;
  json["complete"] = counters.complete;
  json["closed"] = counters.closed;
  json["refused"] = by_error(counters.refused);
  json["failed"] = by_error(counters.failed);
  json["rules"] = counters.rules;
  Json& drops = json["drops"] = Json::object();
  for (size_t i = 0; i < counters.drops.size(); ++i) {
    if (counters.drops[i] == 0) continue;
    drops[std::string(to_string(static_cast<account::Drop>(i)))] = counters.drops[i];
  }
  return json;
}

Json flow_json(const account::Flow& flow, Instant now, bool show_host) {
  Json json;
  json["id"] = flow.id;
  json["source"] = to_string(flow.source);
  json["command"] = to_string(flow.command);
  json["protocol"] = rules::to_string(flow.protocol());
  json["state"] = to_string(flow.state);
  json["way"] = rules::to_string(flow.way);
  json["rule"] = flow.rule;
  if (!flow.carrier.empty()) json["carrier"] = flow.carrier;
  if (!flow.user.empty()) json["user"] = flow.user;
  if (show_host) json["host"] = flow.target.host();
  if (show_host) json["port"] = flow.target.port();
  const bool ended = flow.state == account::State::ended;
  json["started"] = account::time_text(flow.started_at);
  json["age_ms"] = ((ended ? flow.ended : now) - flow.started).count();
  json["up"] = flow.up;
  json["down"] = flow.down;
  if (ended) json["end"] = flow.ending.text();
  return json;
}

Json flows_json(const std::list<account::Flow>& flows, Instant now, const ReportOptions& options) {
  Json json = Json::array();
  const size_t shown = std::min(flows.size(), options.max_flows);
  for (auto flow = std::prev(flows.end(), static_cast<ptrdiff_t>(shown)); flow != flows.end();
       ++flow) {
    json.push_back(flow_json(*flow, now, options.show_hosts));
  }
  return json;
}

}  // namespace

std::string status_json(const TunnelStatus& tunnel, const Account& account, Instant now,
                        const ReportOptions& options) {
  Json json;
  json["tunnel"] = tunnel_json(tunnel);
  json["totals"] = totals_json(account);
  json["flows"] = flows_json(account.flows(), now, options);
  json["ended"] = flows_json(account.recent(), now, options);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tunproxy::control
