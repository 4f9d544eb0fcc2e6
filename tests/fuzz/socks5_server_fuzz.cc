// Fuzzes the listener's state machine: a client that says anything, in pieces of any size, to a
// Server whose way out does anything. Whatever happens, the server ends with nothing left over.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "core/socks5/handshake.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::socks5 {
namespace {

using testing::FakeDatagrams;
using testing::FakeProxy;
using testing::Manners;
using testing::MemoryStream;

// "p", hashed cheaply: `htpasswd -nbB -C 4 u p`.
constexpr const char* kHash = "$2y$04$GWfi8h16d73IBhWwBSKr9et9SxJtncACql5g/fgGyQwfPAzYym0Mq";
constexpr int kTurns = 50;

void require(bool condition) {
  if (!condition) std::abort();
}

// Takes decisions off the front of the input.
class Choices {
 public:
  explicit Choices(Bytes input) : rest_(input) {}
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t value = rest_[0];
    rest_ = rest_.subspan(1);
    return value;
  }
  Bytes rest() const { return rest_; }

 private:
  Bytes rest_;
};

struct Outcome {
  ServerHandshake::State state = ServerHandshake::State::first_byte;
  size_t taken = 0;
  ByteVector out;
};

Outcome shake_hands(Bytes input, bool authenticate, size_t piece) {
  ServerHandshake handshake(authenticate);
  Outcome outcome;
  while (outcome.taken < input.size() && handshake.state() < ServerHandshake::State::complete) {
    const Bytes rest = input.subspan(outcome.taken);
    const Bytes offered = rest.first(std::min(piece, rest.size()));
    const size_t taken = handshake.feed(offered, outcome.out);
    require(taken <= offered.size());
    outcome.taken += taken;
    if (handshake.state() == ServerHandshake::State::checking) {
      handshake.on_checked(handshake.credentials().password == "p", outcome.out);
    } else {
      require(taken > 0);
    }
  }
  outcome.state = handshake.state();
  return outcome;
}

// In one piece and byte by byte a handshake comes to the same, and takes the same.
void check_handshake(Bytes input) {
  for (const bool authenticate : {false, true}) {
    const Outcome at_once = shake_hands(input, authenticate, SIZE_MAX);
    const Outcome in_bytes = shake_hands(input, authenticate, 1);
    require(at_once.state == in_bytes.state && at_once.out == in_bytes.out);
    const bool complete = at_once.state == ServerHandshake::State::complete;
    require(!complete || at_once.taken == in_bytes.taken);
  }
}

class Run {
 public:
  Run(io::Loop& loop, uint8_t flags)
      : loop_(loop),
        proxy_(loop, manners(flags)),
        datagrams_(loop),
        server_(loop, proxy_, options(flags)) {
    proxy_.binds = (flags & 8) != 0;
    datagrams_.at_once = false;
    if ((flags & 32) != 0) server_.carry_datagrams(&datagrams_);
    auto [near, far] = MemoryStream::make_pair(loop_, manners(flags));
    client_ = std::move(near);
    client_->on_progress([this] { said_ += client_->read_all(); });
    const Endpoint here = *Endpoint::parse("127.0.0.1:1080");
    server_.serve(std::move(far), ClientPath{here, *Endpoint::parse("127.0.0.1:9")});
  }

  void feed(Bytes bytes, uint8_t action) {
    for (int turn = 0; turn < kTurns && !bytes.empty(); ++turn) {
      bytes = bytes.subspan(client_->write(bytes));
      loop_.run_once(false);
    }
    act(action);
    loop_.run_once(false);
  }

  void end(bool orderly) {
    if (orderly) client_->finish();
    loop_.run_once(false);
    client_.reset();
    targets_.clear();
    for (int turn = 0; turn < kTurns && server_.connections() > 0; ++turn) loop_.run_once(false);
    require(server_.connections() == 0 && server_.half_open() == 0 && server_.binds() == 0);
    require(server_.associations() == 0);
    for (const auto& each : datagrams_.all)
      require(each->cancelled || each->destroyed || failed(*each));
    for (const auto& call : proxy_.calls) require(call.cancelled || call.done == nullptr);
    for (const auto& bind : proxy_.waiting) require(bind.cancelled || bind.done == nullptr);
  }

 private:
  static Manners manners(uint8_t flags) {
    return (flags & 1) != 0 ? Manners{1, 1, 16} : Manners{SIZE_MAX, 100, 4096};
  }
  static ServerOptions options(uint8_t flags) {
    ServerOptions options;
    if ((flags & 2) != 0) options.users = {{"u", kHash}};
    if ((flags & 4) != 0) options.max_connections = 0;
    return options;
  }

  // What the way out does next.
  void act(uint8_t action) {
    const auto error = static_cast<ErrorCode>(action % 8);
    for (size_t i = 0; i < proxy_.calls.size(); ++i) {
      if (proxy_.calls[i].cancelled || !proxy_.calls[i].done) continue;
      if ((action & 0x80) != 0) targets_.push_back(proxy_.succeed(i));
      if ((action & 0xc0) == 0x40) proxy_.fail(i, error);
    }
    for (size_t i = 0; i < proxy_.waiting.size(); ++i) {
      auto& bind = proxy_.waiting[i];
      if (bind.cancelled || !bind.done) continue;
      if (bind.on_bound && (action & 0x20) != 0) {
        proxy_.listen(i, *Endpoint::parse("192.0.2.1:9"));
      } else if ((action & 0x80) != 0 && !bind.on_bound) {
        targets_.push_back(proxy_.accept(i, *Endpoint::parse("[2001:db8::1]:7")));
      } else if ((action & 0x40) != 0) {
        proxy_.fail_bind(i, error);
      }
    }
    for (const auto& target : targets_) target->write(as_bytes("x"));
    for (size_t i = 0; i < datagrams_.all.size(); ++i) act_on_datagrams(i, action);
  }

  void act_on_datagrams(size_t index, uint8_t action) {
    FakeDatagrams::Association& association = *datagrams_.all[index];
    const bool opens = association.done != nullptr && !association.cancelled;
    if (opens && (action & 0x80) != 0) return datagrams_.open(association);
    if (opens && (action & 0x40) != 0) {
      association.on_closed = nullptr;
      return datagrams_.fail(index, static_cast<ErrorCode>(action % 8));
    }
    if (association.done != nullptr || association.destroyed || failed(association)) return;
    association.on_datagram(*Endpoint::parse("192.0.2.1:53"), as_bytes("answer"));
    if ((action & 0x10) == 0) return;
    std::exchange(association.on_closed, nullptr)({ErrorCode::reset, "it is gone"});
  }
  static bool failed(const FakeDatagrams::Association& association) {
    return association.on_closed == nullptr;
  }

  io::Loop& loop_;
  FakeProxy proxy_;
  FakeDatagrams datagrams_;
  Server server_;
  std::unique_ptr<MemoryStream> client_;
  std::vector<std::unique_ptr<MemoryStream>> targets_;
  std::string said_;
};

void check_server(io::Loop& loop, Bytes input) {
  Choices choices(input);
  const uint8_t flags = choices.byte();
  const size_t piece = choices.byte() + size_t{1};
  const uint8_t action = choices.byte();
  Run run(loop, flags);
  Bytes rest = choices.rest();
  for (uint8_t turn = 0; !rest.empty(); ++turn) {
    const Bytes bytes = rest.first(std::min(piece, rest.size()));
    run.feed(bytes, static_cast<uint8_t>(action + turn * 37));
    rest = rest.subspan(bytes.size());
  }
  run.end((flags & 16) != 0);
}

}  // namespace
}  // namespace tunproxy::socks5

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunproxy;
  static io::Loop loop;
  socks5::check_handshake({data, size});
  socks5::check_server(loop, {data, size});
  loop.run_once(false);  // what was retired
  return 0;
}
