#include "core/rules/parse.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

namespace tunproxy::rules {
namespace {

constexpr std::string_view kSpace = " \t\r\v\f";
constexpr std::string_view kForm = "ACTION [tcp|udp] HOST[:PORTS] [user NAME,…]";

Error bad(std::string_view text, std::string_view expected) {
  return {ErrorCode::usage, fmt::format("'{}' is not {}", text, expected)};
}

std::string_view next_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line.substr(0, line.find('#'));
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.size(), line.find_first_not_of(kSpace)));
  const std::string_view word = line.substr(0, line.find_first_of(kSpace));
  line.remove_prefix(word.size());
  return word;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

Result<PortRange> parse_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return bad(text, "a port or a range such as 1000-2000");
  return PortRange{*first, *last};
}

template <typename Each>
Result<void> for_each_of_list(std::string_view text, Each each) {
  while (true) {
    const size_t comma = text.find(',');
    if (auto done = each(text.substr(0, comma)); !done) return done;
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<PortRange>> parse_ports(std::string_view text) {
  std::vector<PortRange> ranges;
  auto parsed = for_each_of_list(text, [&](std::string_view part) -> Result<void> {
    auto range = parse_range(part);
    if (!range) return range.error();
    ranges.push_back(*range);
    return {};
  });
  if (!parsed) return parsed.error();
  return merged(std::move(ranges));
}

Result<std::vector<std::string>> parse_users(std::string_view text) {
  std::vector<std::string> users;
  auto parsed = for_each_of_list(text, [&](std::string_view name) -> Result<void> {
    if (name.empty()) return bad(text, "a list of users such as alice,bob");
    users.emplace_back(name);
    return {};
  });
  if (!parsed) return parsed.error();
  std::sort(users.begin(), users.end());
  users.erase(std::unique(users.begin(), users.end()), users.end());
  return users;
}

bool is_pattern_name(std::string_view name) {
  return Target::plain_name(name) && !name.starts_with('.') && name.find("..") == name.npos;
}

// What looks like an address but is none would be a name that never matches.
bool looks_like_address(std::string_view host) {
  return host.find_first_not_of("0123456789./") == host.npos;
}

Result<HostPattern> parse_host(std::string_view host) {
  using Kind = HostPattern::Kind;
  HostPattern pattern;
  if (host == "*") return pattern;
  const bool block = host.find_first_of(":/") != host.npos || looks_like_address(host);
  if (block) {
    auto parsed = Cidr::parse(host);
    if (!parsed) return parsed.error();
    pattern.kind = Kind::block;
    pattern.block = judged_block(*parsed);
    return pattern;
  }
  const bool wildcard = host.starts_with("*.");
  const std::string_view name = wildcard ? host.substr(2) : host;
  if (!is_pattern_name(name))
    return bad(
        host,
        "a host: *, NAME, *.NAME, ADDRESS or BLOCK; a name with other letters is written xn--…");
  pattern.kind = wildcard ? Kind::wildcard : Kind::name;
  pattern.name = normal_name(name);
  return pattern;
}

// "host", "host:ports", "[v6]:ports", "v6" (two colons or more and no brackets).
struct HostAndPorts {
  std::string_view host;
  std::string_view ports;
  bool has_ports = false;
};

HostAndPorts split(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == text.npos) return {text, {}, false};
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return {text.substr(1, close - 1), {}, false};
    if (!rest.starts_with(':')) return {text, {}, false};
    return {text.substr(1, close - 1), rest.substr(1), true};
  }
  const size_t colon = text.find(':');
  if (colon == text.npos || text.find(':', colon + 1) != text.npos) return {text, {}, false};
  return {text.substr(0, colon), text.substr(colon + 1), true};
}

Result<Rule> parse_rule(Action action, std::string_view rest) {
  Rule rule;
  rule.action = action;
  std::string_view word = next_word(rest);
  if (word == "tcp" || word == "udp") {
    rule.criteria.protocol = word == "tcp" ? Protocol::tcp : Protocol::udp;
    word = next_word(rest);
  }
  if (word.empty()) return Error{ErrorCode::usage, fmt::format("no host; a rule is {}", kForm)};
  const HostAndPorts parts = split(word);
  auto host = parse_host(parts.host);
  if (!host) return host.error();
  rule.host = std::move(*host);
  if (parts.has_ports) {
    auto ports = parse_ports(parts.ports);
    if (!ports) return ports.error();
    rule.criteria.ports = std::move(*ports);
  }
  word = next_word(rest);
  if (word.empty()) return rule;
  if (word != "user") return bad(word, fmt::format("expected here; a rule is {}", kForm));
  auto users = parse_users(next_word(rest));
  if (!users) return users.error();
  rule.criteria.users = std::move(*users);
  word = next_word(rest);
  if (!word.empty()) return bad(word, fmt::format("expected here; a rule is {}", kForm));
  return rule;
}

// The simple form, as it is read. It becomes rules at the end, when the ports are known.
class Lists {
 public:
  Result<void> add_host(std::string_view text, unsigned line) {
    HostPattern host;
    if (text == "0.0.0.0" || text == "::") {
      host.kind = HostPattern::Kind::block;
      host.block = {text == "::" ? *IpAddress::parse("::") : IpAddress(), 0};
    } else {
      auto parsed = parse_host(text);
      if (!parsed) return parsed.error();
      host = std::move(*parsed);
    }
    all4_ = all4_ || text == "0.0.0.0";
    all6_ = all6_ || text == "::";
    hosts_.emplace_back(std::move(host), line);
    return {};
  }
  Result<void> add_ports(std::string_view text) {
    auto ports = parse_ports(text);
    if (!ports) return ports.error();
    ports_.insert(ports_.end(), ports->begin(), ports->end());
    return {};
  }
  size_t size() const { return hosts_.size(); }

  void append_to(std::vector<Rule>& rules) && {
    const std::vector<PortRange> ports = merged(std::move(ports_));
    // Both together are every address: no name has to be resolved to know that.
    if (hosts_.empty() || (all4_ && all6_)) hosts_.assign(1, {HostPattern{}, 0});
    for (auto& [host, line] : hosts_) {
      Rule rule;
      rule.host = std::move(host);
      rule.criteria.ports = ports;
      rule.line = line;
      rules.push_back(std::move(rule));
    }
  }

 private:
  std::vector<std::pair<HostPattern, unsigned>> hosts_;
  std::vector<PortRange> ports_;
  bool all4_ = false;
  bool all6_ = false;
};

class Parser {
 public:
  Result<Parsed> parse(std::string_view text) {
    if (text.size() > kMaxText) {
      return Error{ErrorCode::usage, fmt::format("more than {} bytes of rules", kMaxText)};
    }
    for (unsigned number = 1; !text.empty(); ++number) {
      const std::string_view line = trimmed(next_line(text));
      if (line.empty()) continue;
      if (auto taken = take(line, number); !taken) {
        return Error{ErrorCode::usage, fmt::format("line {}: {}", number, taken.error().message)};
      }
    }
    return finish();
  }

 private:
  enum class Section : uint8_t { rules, hosts, ports };

  Result<Parsed> finish() {
    if (simple_) {
      if (host_list_ && lists_.size() == 0) {
        return Error{ErrorCode::usage,
                     "allowed_hosts names no host (0.0.0.0 and :: stand for all)"};
      }
      std::move(lists_).append_to(parsed_.rules);
      if (!parsed_.otherwise) parsed_.otherwise = Action::deny;
    }
    return std::move(parsed_);
  }

  Result<void> take(std::string_view line, unsigned number) {
    if (is_heading(line)) return {};
    if (parsed_.rules.size() + lists_.size() >= kMaxRules) {
      return Error{ErrorCode::usage, fmt::format("more than {} rules", kMaxRules)};
    }
    if (section_ == Section::hosts) return lists_.add_host(line, number);
    if (section_ == Section::ports) return lists_.add_ports(line);
    return take_rule(line, number);
  }

  bool is_heading(std::string_view line) {
    if (line.ends_with(':')) line.remove_suffix(1);
    if (line != "allowed_hosts" && line != "allowed_ports") return false;
    section_ = line == "allowed_hosts" ? Section::hosts : Section::ports;
    host_list_ = host_list_ || section_ == Section::hosts;
    return simple_ = true;
  }

  Result<void> take_rule(std::string_view line, unsigned number) {
    const std::string_view word = next_word(line);
    if (word == "default") return take_default(trimmed(line));
    const auto action = action_of(word);
    if (!action) {
      return bad(word,
                 "allow, tunnel, direct, deny, block, default, allowed_hosts or "
                 "allowed_ports");
    }
    auto rule = parse_rule(*action, line);
    if (!rule) return rule.error();
    rule->line = number;
    parsed_.rules.push_back(std::move(*rule));
    return {};
  }

  Result<void> take_default(std::string_view word) {
    const auto action = action_of(word);
    if (!action) return bad(word, "an action; say for example: default deny");
    if (parsed_.otherwise) {
      return Error{ErrorCode::usage, "there is a default already"};
    }
    parsed_.otherwise = *action;
    return {};
  }

  Parsed parsed_;
  Lists lists_;
  Section section_ = Section::rules;
  bool simple_ = false;
  bool host_list_ = false;
};

// The entries of one list, told with its name.
template <typename Add>
Result<void> read_list(std::string_view name, std::string_view text, Add add) {
  for (unsigned number = 1; !text.empty(); ++number) {
    const std::string_view line = trimmed(next_line(text));
    if (line.empty()) continue;
    if (number > kMaxRules) return Error{ErrorCode::usage, fmt::format("{} is too long", name)};
    if (auto added = add(line, number); !added) {
      return Error{ErrorCode::usage,
                   fmt::format("{}, line {}: {}", name, number, added.error().message)};
    }
  }
  return {};
}

}  // namespace

Result<Parsed> parse_rules(std::string_view text) {
  return Parser().parse(text);
}

Result<Parsed> parse_rules_file(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  for (char some[64 * 1024]; stream && text.size() <= kMaxText;) {
    stream.read(some, sizeof some);
    text.append(some, static_cast<size_t>(stream.gcount()));
  }
  if (!stream.eof() && text.size() <= kMaxText) {
    return Error{ErrorCode::usage, fmt::format("{}: {}", file, std::strerror(errno))};
  }
  auto parsed = parse_rules(text);
  if (parsed) return parsed;
  return Error{ErrorCode::usage, fmt::format("{}, {}", file, parsed.error().message)};
}

Result<Parsed> parse_lists(std::string_view allowed_hosts, std::string_view allowed_ports) {
  Lists lists;
  auto read = read_list("allowed_hosts", allowed_hosts, [&](std::string_view line, unsigned at) {
    return lists.add_host(line, at);
  });
  if (!read) return read.error();
  read = read_list("allowed_ports", allowed_ports,
                   [&](std::string_view line, unsigned) { return lists.add_ports(line); });
  if (!read) return read.error();
  Parsed parsed;
  parsed.otherwise = Action::deny;
  std::move(lists).append_to(parsed.rules);
  return parsed;
}

}  // namespace tunproxy::rules
