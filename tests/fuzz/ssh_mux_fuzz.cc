// Fuzzes the SSH connection protocol (RFC 4254) after the login: whatever a server says, in
// whatever state channels, binds and probes are, and whenever they are destroyed.
#include <cstdint>
#include <memory>
#include <vector>

#include "core/ssh/channel_open.h"
#include "core/ssh/exec.h"
#include "core/ssh/probe.h"
#include "core/ssh/remote_bind.h"
#include "tests/unit/ssh/plain_peer.h"

namespace tunproxy::testing {
namespace {

class Client {
 public:
  explicit Client(io::Loop& loop) : loop_(loop), connection_(loop) {
    forwards_ = std::make_unique<ssh::RemoteForwards>(*connection_.mux, std::nullopt);
  }

  // An operation, and what it works on.
  void act(uint8_t operation, Bytes bytes) {
    constexpr uint8_t kOperations = 12;
    ssh::ChannelMux& mux = *connection_.mux;
    const auto keep_stream = [this](auto result) {
      if (result) streams_.push_back(std::move(*result));
    };
    switch (operation % kOperations) {
      case 0:
        return keep(std::make_unique<ssh::ChannelOpen>(mux, Target::from_host("t.test", 80),
                                                       ssh::Priority::expedited, keep_stream));
      case 1:
        return keep(std::make_unique<ssh::ChannelOpen>(mux, "true", keep_stream));
      case 2:
        return keep(std::make_unique<ssh::Exec>(mux, "true", 5s, [](auto) {}));
      case 3:
        return keep(std::make_unique<ssh::Probe>(mux, [](auto) {}));
      case 4:
        return keep(std::make_unique<ssh::RemoteBind>(
            *forwards_, net::Expected{Target::from_host("0.0.0.0", 21)}, [](const Endpoint&) {},
            [this](Result<net::Accepted> result) {
              if (result) streams_.push_back(std::move(result->stream));
            }));
      case 5:
        return drop(attempts_, bytes);
      case 6:
        return drop(streams_, bytes);
      case 7:
        return use(bytes);
      default:
        connection_.peer->say(bytes);
        return turn();
    }
  }

  ~Client() {
    turn();
    streams_.clear();
    attempts_.clear();
    forwards_.reset();
    connection_.mux.reset();
    turn();
  }

 private:
  void keep(std::unique_ptr<net::Attempt> attempt) { attempts_.push_back(std::move(attempt)); }

  template <typename T>
  void drop(std::vector<T>& from, Bytes bytes) {
    if (from.empty() || bytes.empty()) return;
    from.erase(from.begin() + bytes[0] % static_cast<ptrdiff_t>(from.size()));
  }

  void use(Bytes bytes) {
    for (const auto& stream : streams_) {
      stream->write(bytes);
      stream->consume(stream->peek().size());
      if (bytes.size() % 3 == 0) stream->finish();
    }
    turn();
  }

  void turn() {
    for (int i = 0; i < 3; ++i) loop_.run_once(false);
    connection_.peer->hear();
  }

  io::Loop& loop_;
  PlainConnection connection_;
  std::unique_ptr<ssh::RemoteForwards> forwards_;
  std::vector<std::unique_ptr<net::Attempt>> attempts_;
  std::vector<std::unique_ptr<net::Stream>> streams_;
};

}  // namespace
}  // namespace tunproxy::testing

// Input: operation, length, that many bytes; again and again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunproxy;
  static io::Loop loop;
  Bytes rest(data, size);
  testing::Client client(loop);
  while (rest.size() >= 2) {
    const uint8_t operation = rest[0];
    const size_t length = std::min<size_t>(rest[1], rest.size() - 2);
    client.act(operation, rest.subspan(2, length));
    rest = rest.subspan(2 + length);
  }
  return 0;
}
