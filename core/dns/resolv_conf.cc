#include "core/dns/resolv_conf.h"

#include <algorithm>

namespace tunproxy::dns {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";

// The next word of `line`, which is removed from it.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const size_t length = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view word = line.substr(0, length);
  line.remove_prefix(length);
  return word;
}

}  // namespace

std::vector<Endpoint> parse_resolv_conf(std::string_view text) {
  std::vector<Endpoint> resolvers;
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (take_word(line) != "nameserver") continue;
    const std::string_view word = take_word(line);
    const auto address = IpAddress::parse(word.substr(0, word.find('%')));
    if (!address) continue;
    const Endpoint resolver{*address, kPort};
    if (std::find(resolvers.begin(), resolvers.end(), resolver) == resolvers.end()) {
      resolvers.push_back(resolver);
    }
  }
  return resolvers;
}

}  // namespace tunproxy::dns
