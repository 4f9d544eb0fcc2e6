#include "tools/relay/options.h"

#include <charconv>
#include <string>

namespace tunproxy::relay {
namespace {

Result<uint32_t> parse_number(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error{ErrorCode::usage, "not a number: " + std::string(text)};
  }
  return number;
}

Result<void> add_blocks(std::string_view text, std::vector<Cidr>& to) {
  while (true) {
    const size_t comma = text.find(',');
    const Result<Cidr> block = Cidr::parse(text.substr(0, comma));
    if (!block) return block.error();
    to.push_back(*block);
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

template <typename Value>
Result<void> assign(Result<Value> value, auto&& use) {
  if (!value) return value.error();
  use(*value);
  return {};
}

Result<void> set(Options& options, std::string_view name, std::string_view value) {
  if (name == "--deny") return add_blocks(value, options.deny);
  if (name == "--idle-ms") {
    return assign(parse_number(value), [&](uint32_t n) { options.idle = Duration(n); });
  }
  if (name == "--max-associations") {
    return assign(parse_number(value), [&](uint32_t n) { options.max_associations = n; });
  }
  if (name == "--protocol") {
    return assign(parse_number(value), [&](uint32_t n) { options.protocol = n; });
  }
  if (name == "--resolver") {
    return assign(Endpoint::parse(value, 53), [&](const Endpoint& at) { options.resolver = at; });
  }
  return Error{ErrorCode::usage, "unknown option " + std::string(name)};
}

bool set_flag(Options& options, std::string_view name) {
  if (name == "--stats") return options.stats = true;
  if (name == "--help") return options.help = true;
  return name == "--stdio";
}

}  // namespace

std::string_view Options::usage() {
  return "usage: tunproxy-relay --stdio [options]\n"
         "Carries UDP for a tunproxy client that runs this at the far end of an SSH connection.\n"
         "  --deny CIDR[,CIDR...]     send nothing there (may be repeated)\n"
         "  --idle-ms N               end an association after so long without a datagram "
         "(120000)\n"
         "  --max-associations N      (256)\n"
         "  --resolver ADDRESS[:PORT] instead of those of /etc/resolv.conf\n"
         "  --stats                   print counters at the end\n"
         "  --protocol N              only tell, by the exit status, whether N is spoken\n";
}

Result<Options> Options::parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (set_flag(options, argument)) continue;
    const size_t equals = argument.find('=');
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    }
    const Result<void> done = set(options, argument.substr(0, equals), value);
    if (!done) return Error{ErrorCode::usage, done.error().message};
  }
  return options;
}

}  // namespace tunproxy::relay
