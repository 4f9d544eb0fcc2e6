#include "tests/unit/tun2socks/fixture.h"

#include <utility>

namespace tunproxy::testing {
namespace {

template <typename Request>
class Cancel final : public net::Attempt {
 public:
  explicit Cancel(std::shared_ptr<Request> request) : request_(std::move(request)) {}
  Cancel(const Cancel&) = delete;
  Cancel& operator=(const Cancel&) = delete;
  ~Cancel() override { request_->cancelled = true; }

 private:
  std::shared_ptr<Request> request_;
};

}  // namespace

std::unique_ptr<net::Attempt> ScriptedProxy::connect(const Target& target,
                                                     net::Done<std::unique_ptr<net::Stream>> done) {
  requests.push_back(std::make_shared<Request>(Request{target, std::move(done)}));
  return std::make_unique<Cancel<Request>>(requests.back());
}

std::unique_ptr<net::Attempt> ScriptedNames::exchange(const Endpoint& server, Bytes query,
                                                      net::Done<ByteVector> done) {
  requests.push_back(
      std::make_shared<Request>(Request{server, {query.begin(), query.end()}, std::move(done)}));
  return std::make_unique<Cancel<Request>>(requests.back());
}

ByteVector Client::segment(uint8_t flags, std::string_view data) const {
  const Bytes bytes = as_bytes(data);
  return make_tcp(self, server, {next, expected, flags, window, {}, {bytes.begin(), bytes.end()}});
}

ByteVector Client::syn(const ByteVector& options) const {
  return make_tcp(self, server, {next, 0, kSyn, window, options, {}});
}

EngineTest::EngineTest(tun2socks::EngineOptions options, bool offloads)
    : device_(1500, offloads), options_(options) {}

void EngineTest::SetUp() {
  auto engine = tun2socks::Engine::create(loop_, device_, proxy_, &names_, datagrams(), options_);
  ASSERT_TRUE(engine) << engine.error().message;
  engine_ = std::move(*engine);
  engine_->start([](const Error&) {});
}

Client EngineTest::client(uint16_t port, bool v6) const {
  Client made;
  made.self = *Endpoint::parse(v6 ? "[fd00::2]:1" : "198.18.0.1:1");
  made.self.port = port;
  made.server = *Endpoint::parse(v6 ? "[2001:db8::7]:80" : "192.0.2.7:80");
  return made;
}

void EngineTest::settle() {
  for (int i = 0; i < 6; ++i) loop_.run_once(false);
}

void EngineTest::deliver(ByteVector packet) {
  device_.deliver(std::move(packet));
  settle();
}

SeenPacket EngineTest::next_packet() {
  settle();
  if (device_.sent.empty()) {
    ADD_FAILURE() << "the engine sent nothing";
    return {};
  }
  const auto seen = SeenPacket::make(device_.sent.front());
  device_.sent.pop_front();
  EXPECT_TRUE(seen) << "the engine sent a malformed packet";
  return seen.value_or(SeenPacket{});
}

bool EngineTest::silent() {
  settle();
  return device_.sent.empty();
}

std::unique_ptr<MemoryStream> EngineTest::accept_upstream(Manners manners) {
  auto [near, far] = MemoryStream::make_pair(loop_, manners);
  auto request = proxy_.requests.back();
  EXPECT_FALSE(request->cancelled);
  request->done(std::unique_ptr<net::Stream>(std::move(near)));
  settle();
  return std::move(far);
}

void EngineTest::refuse_upstream(ErrorCode code) {
  auto request = proxy_.requests.back();
  ASSERT_FALSE(request->cancelled);
  request->done(Error{code, "scripted"});
  settle();
}

std::unique_ptr<MemoryStream> EngineTest::open(Client& client, const ByteVector& options) {
  deliver(client.syn(options));
  auto far = accept_upstream();
  const SeenPacket answer = next_packet();
  EXPECT_TRUE(answer.has(kSyn | kAck));
  ++client.next;
  client.expected = answer.sequence + 1;
  for (size_t i = 0; i + 2 < answer.options.size(); ++i) {
    if (answer.options[i] == 3 && answer.options[i + 1] == 3) client.scale = answer.options[i + 2];
  }
  deliver(client.segment(kAck));
  return far;
}

void EngineTest::send(Client& client, std::string_view data) {
  deliver(client.segment(kAck | kPsh, data));
  client.next += static_cast<uint32_t>(data.size());
}

std::string EngineTest::receive(Client& client) {
  std::string all;
  settle();
  while (!device_.sent.empty()) {
    const SeenPacket packet = next_packet();
    if (packet.data.empty() || packet.sequence != client.expected) continue;
    all += as_text(packet.data);
    client.expected += static_cast<uint32_t>(packet.data.size());
    deliver(client.segment(kAck));
  }
  return all;
}

}  // namespace tunproxy::testing
