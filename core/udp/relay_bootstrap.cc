#include "core/udp/relay_bootstrap.h"

#include <fmt/core.h>

#include "core/udp/relay_bootstrap_program.h"
#include "core/udp/relay_wire.h"

namespace tunproxy::udp {
namespace {

// There is no way to quote within this line, so it has no text in it. os.read() takes no byte more
// than it is asked for: those behind the program are the client's messages.
constexpr const char* kLoader =
    "import os;b=bytearray();"
    "[b.extend(os.read(0,{0}-len(b))or os._exit(1))for _ in iter(lambda:len(b)<{0},False)];"
    "exec(bytes(b))";

constexpr const char* kCommand =
    "exec sh -c '"
    "PATH=$PATH:/usr/local/bin:$HOME/.local/bin:$HOME/bin;"
    "tunproxy-relay --protocol {} </dev/null >/dev/null 2>&1 && exec tunproxy-relay --stdio{};"
    "for p in python3 /usr/libexec/platform-python python;do "
    "command -v $p >/dev/null 2>&1 && exec $p -IBSc \"{}\"{};"
    "done;"
    "echo neither tunproxy-relay nor Python 3 is installed there;exit 127'";

std::string arguments_for(const HelperOptions& options) {
  std::string text;
  if (options.idle) text += fmt::format(" --idle-ms {}", options.idle->count());
  if (options.max_associations) {
    text += fmt::format(" --max-associations {}", *options.max_associations);
  }
  return text;
}

}  // namespace

std::string relay_command(const HelperOptions& options) {
  const std::string loader = fmt::format(fmt::runtime(kLoader), relay_program().size());
  const std::string arguments = arguments_for(options);
  return fmt::format(fmt::runtime(kCommand), Hello::kVersion, arguments, loader, arguments);
}

Bytes relay_program() {
  return {kRelayProgram, kRelayProgramSize};
}

}  // namespace tunproxy::udp
