#include "core/control/control_server.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/control/report.h"

namespace tunproxy::control {
namespace {

using Json = nlohmann::json;

std::string error_reply(std::string_view message) {
  return Json{{"error", message}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string http(std::string_view status, std::string_view type, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n"
      "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n{}",
      status, type, body.size(), body);
}

constexpr std::string_view kPlain = "text/plain; charset=utf-8";
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

std::string control_folder() {
  if (::geteuid() == 0) return "/run/tunproxy";
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime == nullptr || *runtime == '\0') return {};
  return std::string(runtime) + "/tunproxy";
}

std::string default_control_path() {
  const std::string folder = control_folder();
  return folder.empty() ? folder : fmt::format("{}/control-{}.sock", folder, ::getpid());
}

std::string control_reply(std::string_view line, const StatusSource& source,
                          const account::Account& account, Instant now) {
  const Json request = Json::parse(line, nullptr, false);
  if (!request.is_object()) return error_reply("a request is one line with a JSON object");
  const auto command = request.find("command");
  if (command == request.end() || *command != "status") {
    return error_reply("the only command is status");
  }
  ReportOptions options;
  const auto show = request.find("show_hosts");
  options.show_hosts = show != request.end() && *show == true;
  const auto most = request.find("max_flows");
  if (most != request.end() && most->is_number_unsigned()) {
    options.max_flows = std::min<size_t>(most->get<size_t>(), ReportOptions::kMaxFlows);
  }
  return status_json(source.status(), account, now, options);
}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(io::Loop& loop,
                                                             const std::string& path,
                                                             const StatusSource& source,
                                                             const account::Account& account) {
  std::unique_ptr<ControlServer> server(new ControlServer(loop, source, account));
  auto listener = UnixListener::listen(
      loop, path, [lines = &server->server_](auto stream) { lines->serve(std::move(stream)); });
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

ControlServer::ControlServer(io::Loop& loop, const StatusSource& source,
                             const account::Account& account)
    : server_(
          loop,
          [&loop, &source, &account](std::string_view text) -> std::optional<LineServer::Answer> {
            const size_t end = text.find('\n');
            if (end == text.npos) return std::nullopt;
            auto reply = control_reply(text.substr(0, end), source, account, loop.now());
            return LineServer::Answer{end + 1, std::move(reply) + "\n", false};
          }) {}

std::optional<LineServer::Answer> metrics_answer(std::string_view text, const StatusSource& source,
                                                 const account::Account& account) {
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return std::nullopt;
  LineServer::Answer answer{end + 4, {}, true};
  const std::string_view line = text.substr(0, text.find("\r\n"));
  const std::string_view method = line.substr(0, line.find(' '));
  std::string_view path = line.substr(std::min(line.size(), method.size() + 1));
  path = path.substr(0, path.find_first_of(" ?"));
  if (method != "GET" && method != "HEAD") {
    answer.text = http("405 Method Not Allowed", kPlain, "GET /metrics\n");
  } else if (path != "/metrics") {
    answer.text = http("404 Not Found", kPlain, "GET /metrics\n");
  } else {
    answer.text = http("200 OK", kMetricsType, metrics_text(source.status(), account));
  }
  if (method == "HEAD") answer.text.resize(answer.text.find("\r\n\r\n") + 4);
  return answer;
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::listen(io::Loop& loop, const Endpoint& at,
                                                             const StatusSource& source,
                                                             const account::Account& account) {
  if (!has_metrics()) {
    return Error{ErrorCode::usage, "this build has no metrics: it was made without prometheus-cpp"};
  }
  if (!at.address.is_loopback()) {
    return Error{ErrorCode::usage,
                 fmt::format("metrics are for this machine alone: give a loopback address such as "
                             "127.0.0.1:{} instead of {}",
                             at.port, at.to_string())};
  }
  std::unique_ptr<MetricsServer> server(new MetricsServer(loop, source, account));
  auto listener = io::TcpListener::listen(
      loop, at, [lines = &server->server_](auto stream) { lines->serve(std::move(stream)); });
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

MetricsServer::MetricsServer(io::Loop& loop, const StatusSource& source,
                             const account::Account& account)
    : server_(loop, [&source, &account](std::string_view text) {
        return metrics_answer(text, source, account);
      }) {}

}  // namespace tunproxy::control
