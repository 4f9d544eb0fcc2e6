#include "tools/tunproxy/status.h"

#include <dirent.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/control/control_server.h"
#include "core/control/unix_listener.h"

namespace tunproxy::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxReply = 64 * 1024 * 1024;
constexpr int kPatience = 10'000;  // ms, for a reply
constexpr auto kInterval = std::chrono::seconds(1);
constexpr auto kSample = std::chrono::milliseconds(500);  // over which throughput is measured

// Asks over one connection, as often as is wanted.
class Connection {
 public:
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<std::string> ask(const StatusOptions& options) {
    const std::string request =
        Json{{"command", "status"}, {"show_hosts", options.show_hosts}}.dump() + "\n";
    if (::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      return gone();
    }
    size_t end = std::string::npos;
    while ((end = in_.find('\n')) == std::string::npos) {
      if (auto received = receive(); !received) return received.error();
    }
    std::string reply = in_.substr(0, end);
    in_.erase(0, end + 1);
    return reply;
  }

 private:
  static Error gone() { return {ErrorCode::general, "tunproxy has ended"}; }

  Result<void> receive() {
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (in_.size() > kMaxReply || ::poll(&waiting, 1, kPatience) <= 0) {
      return Error{ErrorCode::general, "tunproxy does not answer"};
    }
    char some[64 * 1024];
    const ssize_t n = ::recv(fd_.get(), some, sizeof some, 0);
    if (n <= 0) return gone();
    in_.append(some, static_cast<size_t>(n));
    return {};
  }

  UniqueFd fd_;
  std::string in_;
};

struct Found {
  std::string path;
  UniqueFd connection;
};

// Those that somebody listens on; what crashed processes left behind is removed.
std::vector<Found> find_sockets(const std::string& folder) {
  std::vector<Found> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  if (!entries) return found;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with("control-") || !name.ends_with(".sock")) continue;
    const std::string path = folder + "/" + name;
    auto connected = control::connect_unix(path);
    if (connected) {
      found.push_back({path, std::move(*connected)});
    } else if (connected.error().code == ErrorCode::refused) {
      ::unlink(path.c_str());
    }
  }
  return found;
}

Result<Connection> connect(const std::string& control) {
  if (!control.empty()) {
    auto connected = control::connect_unix(control);
    if (!connected) return connected.error();
    return Connection(std::move(*connected));
  }
  const std::string folder = control::control_folder();
  std::vector<Found> found = find_sockets(folder);
  if (found.empty()) {
    return Error{ErrorCode::general,
                 fmt::format("no tunproxy of this user runs (no control socket in {}); ask as the "
                             "user who started it, or name its socket with --control",
                             folder.empty() ? "$XDG_RUNTIME_DIR" : folder)};
  }
  if (found.size() > 1) {
    std::vector<std::string> paths;
    for (const Found& each : found) paths.push_back(each.path);
    return Error{ErrorCode::usage, fmt::format("several run here: name one with --control: {}",
                                               fmt::join(paths, ", "))};
  }
  return Connection(std::move(found[0].connection));
}

struct Sample {
  Json json;
  Clock::time_point at;
  double up = 0;
  double down = 0;
};

Result<Sample> take_sample(Connection& connection, const StatusOptions& options) {
  auto reply = connection.ask(options);
  if (!reply) return reply.error();
  Sample sample{Json::parse(*reply, nullptr, false), Clock::now(), 0, 0};
  if (!sample.json.is_object()) return Error{ErrorCode::general, "the answer is no JSON"};
  if (sample.json.contains("error")) {
    return Error{ErrorCode::general, sample.json["error"].get<std::string>()};
  }
  for (const auto& [way, traffic] : sample.json["totals"]["ways"].items()) {
    sample.up += traffic.value("up", 0.0);
    sample.down += traffic.value("down", 0.0);
  }
  return sample;
}

void print(const StatusOptions& options, const Sample& before, Sample& now) {
  const double seconds = std::max(1e-3, std::chrono::duration<double>(now.at - before.at).count());
  const double up = (now.up - before.up) / seconds;
  const double down = (now.down - before.down) / seconds;
  now.json["throughput"] = {{"up", up}, {"down", down}};
  const std::string json = now.json.dump(-1, ' ', false, Json::error_handler_t::replace);
  const bool clears = options.watch && !options.json && ::isatty(STDOUT_FILENO) == 1;
  fmt::print("{}{}{}", clears ? "\033[H\033[2J" : "",
             options.json ? json : status_text(json, up, down),
             options.json || options.watch ? "\n" : "");
  std::fflush(stdout);
}

}  // namespace

Result<StatusOptions> parse_status(std::vector<std::string> arguments) {
  StatusOptions options;
  CLI::App app("Shows what a running tunproxy does: state, sessions, throughput, flows.",
               "tunproxy status");
  app.set_help_flag("--help,-h", "Show this");
  app.add_flag("--json", options.json, "JSON, one line each time");
  app.add_flag("--watch", options.watch, "Again each second, until tunproxy or this ends");
  app.add_flag("--show-hosts", options.show_hosts, "Where flows go, too");
  app.add_option("--control", options.control,
                 "Its control socket (default: that of the one that this user runs)")
      ->type_name("PATH");
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 wants
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    options.help = app.help();
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::usage, error.what()};
  }
  return options;
}

Result<void> show_status(const StatusOptions& options) {
  auto connection = connect(options.control);
  if (!connection) return connection.error();
  auto before = take_sample(*connection, options);
  if (!before) return before.error();
  for (auto pause = std::chrono::milliseconds(kSample);; pause = kInterval) {
    std::this_thread::sleep_for(pause);
    auto now = take_sample(*connection, options);
    if (!now) return now.error();
    print(options, *before, *now);
    if (!options.watch) return {};
    before = std::move(*now);
  }
}

}  // namespace tunproxy::cli
