#include "core/base/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

namespace tunproxy {

std::string home_directory() {
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return home;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[16 * 1024];
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return found->pw_dir;
  }
  return "/";
}

std::string expand_home(std::string_view path) {
  if (path == "~" || path.starts_with("~/")) {
    return home_directory().append(path.substr(1));
  }
  return std::string(path);
}

}  // namespace tunproxy
