// tunproxy-relay: the helper that carries UDP for a client at the other end of stdin and stdout.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "core/udp/relay_wire.h"
#include "tools/relay/helper.h"

namespace tunproxy::relay {
namespace {

constexpr int kUsage = 2;

bool make_ready(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode) && ::isatty(fd) == 0) return false;
  return ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

// Each association takes a descriptor or two.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void print(const Helper::Counters& counters) {
  const udp::Stats& drops = counters.drops;
  std::cerr << "denied=" << drops.denied << " failed=" << drops.failed
            << " received=" << counters.received << " sent=" << counters.sent
            << " too_many=" << drops.too_many << " too_old=" << drops.too_old
            << " unclaimed=" << drops.unclaimed << " unresolved=" << drops.unresolved << '\n';
}

int serve(const Options& options) {
  if (!make_ready(STDIN_FILENO) || !make_ready(STDOUT_FILENO)) {
    std::cerr
        << "tunproxy-relay: stdin and stdout must be pipes or sockets: it is run by tunproxy, "
           "over SSH\n";
    return kUsage;
  }
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  io::Loop loop;
  Helper helper(loop, options, STDIN_FILENO, STDOUT_FILENO);
  loop.run();
  if (options.stats) print(helper.counters());
  if (helper.complaint()) std::cerr << "tunproxy-relay: " << *helper.complaint() << '\n';
  std::cerr.flush();
  std::_Exit(helper.complaint() ? 1 : 0);  // ~Loop would wait for look-ups that are under way
}

int run(int argc, char** argv) {
  const Result<Options> options = Options::parse({argv + 1, argv + argc});
  if (!options) {
    std::cerr << "tunproxy-relay: " << options.error().message << '\n' << Options::usage();
    return kUsage;
  }
  if (options->help) {
    std::cout << Options::usage();
    return 0;
  }
  if (options->protocol) return *options->protocol == udp::Hello::kVersion ? 0 : 1;
  return serve(*options);
}

}  // namespace
}  // namespace tunproxy::relay

int main(int argc, char** argv) {
  return tunproxy::relay::run(argc, argv);
}
