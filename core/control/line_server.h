// LineServer: clients that ask in text and get text: the control socket and the metrics listener.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"

namespace tunproxy::control {

/// Lives in one loop thread. A client that is slow to ask, to read, or says too much is closed.
class LineServer {
 public:
  static constexpr size_t kMaxClients = 16;  ///< further ones are closed at once
  static constexpr size_t kMaxRequest = 8192;
  static constexpr Duration kPatience = 30s;  ///< with one that neither asks nor reads

  /// A whole request at the front of what came, and its answer; nullopt: more has to come.
  struct Answer {
    size_t taken = 0;  ///< bytes of the request
    std::string text;
    bool last = false;  ///< the connection ends after it
  };
  using OnText = std::function<std::optional<Answer>(std::string_view text)>;

  LineServer(io::Loop& loop, OnText on_text) : loop_(loop), on_text_(std::move(on_text)) {}
  LineServer(const LineServer&) = delete;
  LineServer& operator=(const LineServer&) = delete;
  /// REQUIRES: no callback of a client is running.
  ~LineServer() = default;

  void serve(std::unique_ptr<net::Stream> stream);
  size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    std::unique_ptr<net::Stream> stream;
    std::string in;
    std::string out;
    size_t sent = 0;
    bool last = false;
    bool closed = false;  // and about to be destroyed
    std::list<std::unique_ptr<Client>>::iterator self;
    std::optional<io::Timer> timer;
  };
  using Clients = std::list<std::unique_ptr<Client>>;

  void look_again(Client& client);
  bool answer(Client& client);
  bool flush(Client& client);
  void close(Client& client);

  io::Loop& loop_;
  const OnText on_text_;
  Clients clients_;
};

}  // namespace tunproxy::control
