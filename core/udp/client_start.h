// ClientStart: the start of a client that speaks over a stream, as an attempt: it owns the client
// until the far end has answered.
#pragma once

#include <memory>
#include <utility>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/net/stream.h"

namespace tunproxy::udp {

/// For RelayClient and UdpgwClient, which are its friends: a Client is made with it as its last
/// argument, keeps it in `starting_`, calls settle() when its outcome is known and has an error in
/// `lost_` if that is a failure. The client is handed over when nothing of it is on the stack.
template <typename Client, typename Options>
class ClientStart final : public net::Attempt {
 public:
  ClientStart(io::Loop& loop, std::unique_ptr<net::Stream> stream, const Options& options,
              net::Done<std::unique_ptr<Client>> done)
      : loop_(loop),
        done_(std::move(done)),
        client_(new Client(loop, std::move(stream), options, *this)),
        deliver_(loop, [this] { deliver(); }) {}
  ClientStart(const ClientStart&) = delete;
  ClientStart& operator=(const ClientStart&) = delete;
  ~ClientStart() override {
    if (client_ == nullptr) return;
    client_->starting_ = nullptr;
    loop_.retire(std::shared_ptr<Client>(std::move(client_)));
  }

  void settle() { deliver_.schedule(); }

 private:
  void deliver() {
    const auto done = std::move(done_);
    std::unique_ptr<Client> client = std::move(client_);
    client->starting_ = nullptr;
    if (client->lost_) return done(*client->lost_);
    done(std::move(client));
  }

  io::Loop& loop_;
  net::Done<std::unique_ptr<Client>> done_;
  std::unique_ptr<Client> client_;
  io::Task deliver_;
};

}  // namespace tunproxy::udp
