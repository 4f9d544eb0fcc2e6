// A client of a Server that is served over memory, and what it asks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/socks5/server.h"
#include "core/socks5/wire.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {

// A client that is served over memory, and what it has received so far.
struct ServedClient {
  ServedClient(io::Loop& loop, Server& server, testing::Manners manners = {},
               std::optional<ClientPath> path = std::nullopt)
      : loop_(loop) {
    auto [near, far] = testing::MemoryStream::make_pair(loop, manners);
    stream = std::move(near);
    stream->on_progress([this] {
      const std::string fresh = stream->read_all();
      append(received, as_bytes(fresh));
      pump();
    });
    server.serve(std::move(far), path);
  }

  void send(ByteVector bytes) {
    append(unsent, bytes);
    pump();
  }
  void send(std::string_view text) {
    send(ByteVector(as_bytes(text).begin(), as_bytes(text).end()));
  }
  void pump() {
    const size_t taken = stream->write(unsent);
    unsent.erase(unsent.begin(), unsent.begin() + static_cast<ptrdiff_t>(taken));
  }
  bool receives(const ByteVector& expected) {
    return testing::run_until(loop_, [&] { return received == expected; });
  }

  std::string text() const { return std::string(as_text(received)); }
  /// The server half-closes after what it had to say.
  bool is_parted() {
    return testing::run_until(loop_, [&] { return stream->ended(); });
  }
  /// The server closes without a word.
  bool is_dropped() {
    return testing::run_until(loop_, [&] { return stream->error() != nullptr; });
  }

  io::Loop& loop_;
  std::unique_ptr<testing::MemoryStream> stream;
  ByteVector unsent;
  ByteVector received;
};

inline ByteVector hello_and_request(Command command = Command::connect) {
  ByteVector bytes = testing::bytes_of({5, 1, 0});
  encode(Request{command, Target::from_host("example.com", 443)}, bytes);
  return bytes;
}

inline ByteVector greeted(uint8_t code) {
  ByteVector bytes = testing::bytes_of({5, 0});
  encode(Reply{code, {}}, bytes);
  return bytes;
}

}  // namespace tunproxy::socks5
