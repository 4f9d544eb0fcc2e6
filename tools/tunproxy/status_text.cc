#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "tools/tunproxy/status.h"

namespace tunproxy::cli {
namespace {

using Json = nlohmann::json;

std::string bytes(double n) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; n >= 1024 && unit + 1 < kUnits.size(); ++unit) n /= 1024;
  if (unit == 0) return fmt::format("{:.0f} B", n);
  return fmt::format("{:.1f} {}", n, kUnits[unit]);
}

std::string span(int64_t seconds) {
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string traffic(const Json& json) {
  return fmt::format("{} up, {} down", bytes(json.value("up", 0.0)),
                     bytes(json.value("down", 0.0)));
}

// "3 denied, 2 unresolved"; empty if there is nothing. `where` stands in front of each name.
std::string counts(const Json& json, const std::string& where = "") {
  std::string text;
  for (const auto& [name, count] : json.items()) {
    if (count.get<uint64_t>() == 0) continue;
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", count.get<uint64_t>(), where, name);
  }
  return text;
}

void add_tunnel(const Json& tunnel, std::string& text) {
  text += fmt::format("{}: {}, for {}\n", tunnel.value("state", ""), tunnel.value("server", ""),
                      span(tunnel.value("uptime_s", int64_t{0})));
  const Json ways_in = tunnel.value("ways_in", Json::array());
  for (const Json& way : ways_in) {
    text += fmt::format("in:       {}\n", way.get<std::string>());
  }
  const Json carrier = tunnel.value("carrier", Json::object());
  const std::string about = carrier.value("text", "");
  text += fmt::format("UDP:      {}\n", about.empty() ? carrier.value("name", "") : about);
  const std::string resolver = tunnel.value("resolver", "");
  if (!resolver.empty()) text += fmt::format("names:    {}\n", resolver);
  const Json memory = tunnel.value("memory", Json::object());
  const double cap = memory.value("cap", 0.0);
  text += fmt::format("memory:   {}{} in buffers\n", bytes(memory.value("used", 0.0)),
                      cap > 0 ? " of " + bytes(cap) : "");
  const Json sessions = tunnel.value("sessions", Json::array());
  for (const Json& session : sessions) {
    text += fmt::format("session:  {}: {}, {} flows, {}", session.value("name", ""),
                        session.value("state", ""), session.value("flows", 0), traffic(session));
    const Json rtt = session.value("rtt_ms", Json());
    text += rtt.is_number() ? fmt::format(", {} ms\n", rtt.get<int64_t>()) : "\n";
  }
}

void add_line(const std::string& title, const std::string& content, std::string& text) {
  if (!content.empty()) text += fmt::format("{:9} {}\n", title + ":", content);
}

void add_counts(const std::string& title, const Json& some, std::string& text) {
  add_line(title, counts(some), text);
}

void add_carriers(const Json& carriers, std::string& text) {
  for (const auto& [name, about] : carriers.items()) {
    text += fmt::format("{:9} {} associations, {} datagrams up, {} down, {}\n", name + ":",
                        about.value("flows", 0), about.value("datagrams_up", uint64_t{0}),
                        about.value("datagrams_down", uint64_t{0}), traffic(about));
  }
}

void add_listener(const Json& tunnel, std::string& text) {
  const Json listener = tunnel.value("listener", Json::object());
  for (const char* group : {"connections", "languages", "commands", "passwords"}) {
    add_counts(group, listener.value(group, Json::object()), text);
  }
  add_line("replies", counts(tunnel.value("replies", Json::object()), "of SOCKS "), text);
}

void add_totals(const Json& totals, std::string& text) {
  const Json ways = totals.value("ways", Json::object());
  for (const auto& [way, about] : ways.items()) {
    if (about.value("flows", 0) == 0) continue;
    text += fmt::format("{:9} {} flows, {}\n", way + ":", about.value("flows", 0), traffic(about));
  }
  add_carriers(totals.value("carriers", Json::object()), text);
  for (const char* group : {"refused", "failed", "rules"}) {
    add_counts(group, totals.value(group, Json::object()), text);
  }
}

// What of packets and datagrams is no flow's.
void add_datagrams(const Json& status, std::string& text) {
  const Json& tunnel = status["tunnel"];
  add_counts("datagrams", tunnel.value("udp", Json::object()), text);
  const std::string here = counts(tunnel.value("drops", Json::object()));
  const Json totals = status.value("totals", Json::object());
  const std::string rules = counts(totals.value("drops", Json::object()), "rules/");
  const char* const between = here.empty() || rules.empty() ? "" : ", ";
  add_line("dropped", here + between + rules, text);
  const auto lost = tunnel.value("access_log_lost", uint64_t{0});
  if (lost > 0) text += fmt::format("log:      {} lines of the access log lost\n", lost);
}

constexpr size_t kEndedShown = 10;

void add_flow(const Json& flow, std::string& text) {
  const bool shown = flow.contains("host");
  text += fmt::format(
      "{:>8} {:>9} {:5} {:9} {:8} {:6} {:>10} {:>10}  {}{}{}{}\n", flow.value("id", uint64_t{0}),
      span(flow.value("age_ms", int64_t{0}) / 1000), flow.value("source", ""),
      flow.value("command", ""), flow.value("state", ""), flow.value("way", ""),
      bytes(flow.value("up", 0.0)), bytes(flow.value("down", 0.0)),
      flow.contains("user") ? flow.value("user", "") + "  " : "",
      shown ? flow.value("host", "") : "", shown ? fmt::format(" {}  ", flow.value("port", 0)) : "",
      flow.value("end", ""));
}

void add_flows(const Json& status, std::string& text) {
  const Json flows = status.value("flows", Json::array());
  const Json ended = status.value("ended", Json::array());
  if (flows.empty() && ended.empty()) return;
  text += fmt::format("{:>8} {:>9} {:5} {:9} {:8} {:6} {:>10} {:>10}\n", "flow", "age", "from",
                      "command", "state", "way", "up", "down");
  for (const Json& flow : flows) add_flow(flow, text);
  const size_t first = ended.size() > kEndedShown ? ended.size() - kEndedShown : 0;
  for (size_t i = first; i < ended.size(); ++i) add_flow(ended[i], text);
}

}  // namespace

std::string status_text(const std::string& json, double up, double down) {
  const Json status = Json::parse(json, nullptr, false);
  if (!status.is_object() || !status.contains("tunnel")) return json;
  std::string text;
  add_tunnel(status["tunnel"], text);
  const Json totals = status.value("totals", Json::object());
  add_listener(status["tunnel"], text);
  add_totals(totals, text);
  add_datagrams(status, text);
  text += fmt::format("now:      {} flows, {}/s up, {}/s down\n", totals.value("flows", 0),
                      bytes(up), bytes(down));
  add_flows(status, text);
  return text;
}

}  // namespace tunproxy::cli
