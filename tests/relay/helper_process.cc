#include "tests/relay/helper_process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "tests/support/memory_stream.h"

namespace tunproxy::testing {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

HelperProcess::HelperProcess(const std::vector<std::string>& command,
                             const std::vector<std::string>& environment) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("socketpair");
  }
  socket_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  errors_.reset(::memfd_create("errors", MFD_CLOEXEC));
  const std::vector<char*> arguments = pointers(command);
  const std::vector<char*> variables = pointers(environment);
  pid_ = ::fork();
  if (pid_ != 0) return;
  ::dup2(theirs.get(), STDIN_FILENO);
  ::dup2(theirs.get(), STDOUT_FILENO);
  ::dup2(errors_.get(), STDERR_FILENO);
  ::execve(arguments[0], arguments.data(), environment.empty() ? environ : variables.data());
  ::_exit(126);
}

HelperProcess::~HelperProcess() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

int HelperProcess::wait(io::Loop& loop) {
  run_until(loop, [this] {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    return status_.has_value();
  });
  return status_ && WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -1;
}

std::string HelperProcess::errors() const {
  std::string text(64 * 1024, '\0');
  const ssize_t n = ::pread(errors_.get(), text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

std::vector<std::string> helper_command(Kind kind, std::vector<std::string> arguments) {
  std::vector<std::string> command = {RELAY_BINARY, "--stdio"};
  if (kind == Kind::python) {
    const char* python = std::getenv("TUNPROXY_TEST_PYTHON");
    command = {python != nullptr ? python : "/usr/bin/python3", "-IBS", RELAY_PROGRAM, "--stdio"};
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Result<std::unique_ptr<udp::RelayClient>> start_client(io::Loop& loop,
                                                       std::unique_ptr<net::Stream> stream,
                                                       const udp::RelayOptions& options) {
  std::optional<Result<std::unique_ptr<udp::RelayClient>>> outcome;
  const auto attempt = udp::RelayClient::start(
      loop, std::move(stream), options,
      [&](Result<std::unique_ptr<udp::RelayClient>> result) { outcome = std::move(result); });
  run_until(
      loop, [&] { return outcome.has_value(); }, 90s);
  if (!outcome) return Error{ErrorCode::general, "neither client nor error"};
  return std::move(*outcome);
}

EchoServer::EchoServer(io::Loop& loop, const char* address) {
  socket_ = *io::UdpSocket::bind(loop, {*IpAddress::parse(address), 0},
                                 [this](const Endpoint& from, Bytes payload) {
                                   seen.push_back(from);
                                   if (answers) socket_->send(from, payload);
                                 });
}

Flow::Flow(io::Loop& event_loop, udp::RelayClient& client) : loop(event_loop) {
  const auto attempt = client.associate(
      [this](const Endpoint& from, Bytes payload) {
        received.emplace_back(from, std::string(as_text(payload)));
      },
      [this](const Error& error) { closed = error; },
      [this](Result<std::unique_ptr<net::DatagramSession>> result) {
        if (result) {
          session = *std::move(result);
        } else {
          failure = result.error();
        }
      });
  run_until(loop, [this] { return session != nullptr || failure; });
}

bool Flow::wait_for(size_t datagrams) {
  return run_until(loop, [&] { return received.size() >= datagrams; });
}

RawClient::RawClient(io::Loop& loop, HelperProcess& helper)
    : loop_(loop), stream_(helper.stream(loop)) {
  stream_->on_progress([this] {
    write({});
    take();
  });
}

void RawClient::read(bool reads) {
  reads_ = reads;
  take();
}

void RawClient::take() {
  for (Bytes bytes = stream_->peek(); reads_ && !bytes.empty(); bytes = stream_->peek()) {
    append(incoming_, bytes);
    stream_->consume(bytes.size());
  }
}

void RawClient::write(Bytes bytes) {
  append(outgoing_, bytes);
  const size_t written = stream_->write(outgoing_);
  outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<ptrdiff_t>(written));
}

void RawClient::say(uint32_t connection, const udp::RelayBody& body) {
  ByteVector bytes;
  (void)encode(udp::RelayMessage{connection, body}, bytes);
  write(bytes);
}

bool RawClient::greet() {
  const udp::Hello hello;
  say(0, hello);
  std::optional<size_t> start;
  read_until([&] {
    start = *udp::find_relay_magic(incoming_, hello.nonce);
    return start.has_value();
  });
  if (!start) return false;
  incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<ptrdiff_t>(*start));
  const auto message = next();
  return message && std::holds_alternative<udp::Hello>(message->body);
}

std::optional<udp::RelayMessage> RawClient::next() {
  auto message = next_of_all();
  while (message && std::holds_alternative<udp::Stats>(message->body)) message = next_of_all();
  return message;
}

std::optional<udp::RelayMessage> RawClient::next_of_all() {
  std::optional<udp::RelayMessage> message;
  read_until([&] {
    if (message) return true;
    Bytes rest(incoming_);
    const auto found = udp::decode_relay(rest);
    if (!found || !*found) return false;
    const auto end = incoming_.end() - static_cast<ptrdiff_t>(rest.size());
    last_.assign(incoming_.begin(), end);
    incoming_.erase(incoming_.begin(), end);
    Bytes whole(last_);
    message = **udp::decode_relay(whole);
    return true;
  });
  return message;
}

bool RawClient::ended() {
  return read_until([] { return false; });
}

// Also stops, with true, when the stream is over.
bool RawClient::read_until(const std::function<bool()>& condition) {
  return run_until(loop_,
                   [&] { return condition() || stream_->ended() || stream_->error() != nullptr; });
}

}  // namespace tunproxy::testing
