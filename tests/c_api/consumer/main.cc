// A C++ program that has what the static library has inside, of its own: neither may take the other's.
#include <tunproxy.h>

#include <cstdio>
#include <fmt/core.h>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tunproxy {
struct Config {
  std::string text = "the program's";
};
std::string to_string(const Config& config) {
  return config.text;
}
}  // namespace tunproxy

int main() {
  std::map<std::string, std::vector<std::function<std::string()>>> calls;
  calls["version"].push_back([] { return std::string(tunproxy_version()); });
  tunproxy_tunnel* tunnel = nullptr;
  if (tunproxy_create(nullptr, &tunnel) != TUNPROXY_OK) return 1;
  if (tunproxy_set(tunnel, "nonsense", "1") != TUNPROXY_ERROR_CONFIG) return 2;
  if (tunproxy::to_string(tunproxy::Config{}) != "the program's") return 3;
  fmt::print("{}\n", calls["version"].front()());
  return tunproxy_destroy(tunnel);
}
