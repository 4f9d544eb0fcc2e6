// The engine between a MemoryDevice and a proxy whose outcomes the test decides, and a host whose
// every segment the test decides.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/io/loop.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_stream.h"
#include "tun2socks/engine.h"

namespace tunproxy::testing {

/// Keeps every connect() until the test answers it.
class ScriptedProxy final : public net::Proxy {
 public:
  struct Request {
    Target target;
    net::Done<std::unique_ptr<net::Stream>> done;
    bool cancelled = false;
  };

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;

  std::vector<std::shared_ptr<Request>> requests;
};

class ScriptedNames final : public net::NameService {
 public:
  struct Request {
    Endpoint server;
    ByteVector query;
    net::Done<ByteVector> done;
    bool cancelled = false;
  };

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

  std::vector<std::shared_ptr<Request>> requests;
};

constexpr uint8_t kFin = 1;
constexpr uint8_t kSyn = 2;
constexpr uint8_t kRst = 4;
constexpr uint8_t kPsh = 8;
constexpr uint8_t kAck = 16;

/// One TCP connection of the application's host, segment by segment.
struct Client {
  Endpoint self;
  Endpoint server;
  uint32_t next = 1000;   ///< the sequence number to send next
  uint32_t expected = 0;  ///< the sequence number to come next
  uint16_t window = 65535;
  uint8_t scale = 0;  ///< of the engine's windows, from its SYN-ACK

  ByteVector segment(uint8_t flags, std::string_view data = {}) const;
  ByteVector syn(const ByteVector& options = {2, 4, 5, 180}) const;
};

class EngineTest : public ::testing::Test {
 protected:
  explicit EngineTest(tun2socks::EngineOptions options = {}, bool offloads = false);
  void SetUp() override;
  void TearDown() override { engine_.reset(); }  // before what a derived class owns
  /// Carries UDP; nullptr: nobody does.
  virtual net::DatagramProxy* datagrams() { return nullptr; }

  Client client(uint16_t port = 40000, bool v6 = false) const;
  /// Everything that the loop has to do now.
  void settle();
  void deliver(ByteVector packet);
  /// The next packet of the engine, with every checksum right; fails the test if there is none.
  SeenPacket next_packet();
  bool silent();  ///< no packet is waiting
  /// Sends the SYN, lets the proxy succeed, does the handshake. The far end is returned.
  std::unique_ptr<MemoryStream> open(Client& client, const ByteVector& options = {2, 4, 5, 180});
  /// The proxy's last request succeeds.
  std::unique_ptr<MemoryStream> accept_upstream(Manners manners = {});
  void refuse_upstream(ErrorCode code);
  /// Sends data in order and drops the acknowledgements that come back.
  void send(Client& client, std::string_view data);
  /// All data that came for the client, acknowledged.
  std::string receive(Client& client);
  void forget_packets() { device_.sent.clear(); }

  io::Loop loop_;
  MemoryDevice device_;
  ScriptedProxy proxy_;
  ScriptedNames names_;
  tun2socks::EngineOptions options_;
  std::unique_ptr<tun2socks::Engine> engine_;
};

}  // namespace tunproxy::testing
