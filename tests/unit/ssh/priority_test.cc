// What is urgent goes before bulk that waits already, on one connection.
#include <optional>
#include <utility>

#include "core/ssh/send_ahead.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::testing {
namespace {

// A stream whose peer takes bytes only as the test allows it.
class Gate final : public net::Stream {
 public:
  Gate(io::Loop& loop, std::unique_ptr<net::Stream> inner)
      : inner_(std::move(inner)), progress_(loop, [this] {
          if (look_again_) look_again_();
        }) {}

  void allow(size_t bytes) {
    allowed_ = bytes == SIZE_MAX ? bytes : allowed_ + bytes;
    progress_.schedule();
  }
  void shut() { allowed_ = 0; }
  size_t unsent_limit() const { return unsent_limit_; }

  void on_progress(std::function<void()> look_again) override {
    look_again_ = look_again;
    inner_->on_progress(std::move(look_again));
  }
  Bytes peek() const override { return inner_->peek(); }
  void consume(size_t n) override { inner_->consume(n); }
  size_t write(Bytes bytes) override {
    const size_t n = inner_->write(bytes.first(std::min(bytes.size(), allowed_)));
    if (allowed_ != SIZE_MAX) allowed_ -= n;
    return n;
  }
  void limit_unsent(size_t bytes) override { unsent_limit_ = bytes; }
  void finish() override { inner_->finish(); }
  bool finished() const override { return inner_->finished(); }
  bool ended() const override { return inner_->ended(); }
  const Error* error() const override { return inner_->error(); }

 private:
  std::unique_ptr<net::Stream> inner_;
  size_t allowed_ = SIZE_MAX;
  size_t unsent_limit_ = 0;
  std::function<void()> look_again_;
  io::Task progress_;
};

class PriorityTest : public SessionTest {
 protected:
  static constexpr size_t kOverhead = 1024;
  static constexpr size_t kRecord = 33 * 1024;  // one packet of bulk, and what is around it

  void connect() {
    start_sshd();
    auto gate = std::make_unique<Gate>(loop_, dial());
    gate_ = gate.get();
    std::optional<Result<std::unique_ptr<ssh::Session>>> outcome;
    const auto attempt = ssh::Session::open(loop_, std::move(gate), login(*sshd_), {},
                                            [&](auto result) { outcome = std::move(result); });
    ASSERT_TRUE(run_until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome) << outcome->error().message;
    session_ = std::move(**outcome);
  }

  std::unique_ptr<net::Stream> open_by(net::Proxy& proxy, const Target& target) {
    std::unique_ptr<net::Stream> stream;
    const auto attempt = proxy.connect(target, [&](Opened result) {
      ASSERT_TRUE(result) << result.error().message;
      stream = std::move(*result);
    });
    EXPECT_TRUE(run_until([&] { return stream != nullptr; }));
    return stream;
  }

  // Shuts the gate and lets bulk fill whatever it can.
  void fill(const FlowTarget& sink) {
    std::vector<std::unique_ptr<net::Stream>> streams;
    for (size_t i = 0; i < 4; ++i) streams.push_back(open_by(*session_, sink.target()));
    gate_->shut();
    for (auto& stream : streams) {
      bulk_.push_back(std::make_unique<Flow>(std::move(stream), Flow::Plan{2, 64 << 20, 1, 0}));
    }
    ASSERT_TRUE(run_until([&] { return session_->load().waiting == bulk_.size(); }));
  }

  // Whether it comes so far when no more than what may stand before it passes the gate, and itself.
  bool comes_through(size_t size, const std::function<bool()>& done) {
    gate_->allow(ssh::SendAhead::kLeast + kRecord + size + kOverhead);
    return run_until(done, 60s);
  }

  Gate* gate_ = nullptr;
  std::vector<std::unique_ptr<Flow>> bulk_;
};

TEST_F(PriorityTest, AnUrgentMessagePassesBulkThatWaits) {
  connect();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 << 20}; });
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{3, 0, 4, 5000}; });
  auto urgent = open_by(session_->expedited(), target.target());
  ASSERT_TRUE(run_until([&] { return target.flows().size() == 1; }));
  fill(sink);
  Flow message(std::move(urgent), {4, 5000, 3, 0});
  EXPECT_TRUE(comes_through(5000, [&] { return target.flows()[0]->received() == 5000; }));
  EXPECT_TRUE(target.flows()[0]->intact());
  gate_->allow(SIZE_MAX);
}

TEST_F(PriorityTest, ANewConnectionPassesBulkThatWaits) {
  connect();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 << 20}; });
  FlowTarget target(loop_, [](size_t) { return Flow::Plan{3, 0, 4, 0}; });
  fill(sink);
  bool opened = false;
  const auto attempt = session_->connect(target.target(), [&](Opened result) {
    EXPECT_TRUE(result);
    opened = true;
  });
  EXPECT_TRUE(comes_through(0, [&] { return opened; }));
  gate_->allow(SIZE_MAX);
}

TEST_F(PriorityTest, ACommandIsUrgent) {
  connect();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 << 20}; });
  std::unique_ptr<net::Stream> command;
  const auto attempt = session_->run("cat", [&](Opened result) { command = std::move(*result); });
  ASSERT_TRUE(run_until([&] { return command != nullptr; }));
  fill(sink);
  Flow echo(std::move(command), {4, 3000, 4, 3000});
  EXPECT_TRUE(comes_through(3000, [&] { return echo.received() == 3000; }));
  gate_->allow(SIZE_MAX);
}

// What is urgent is dropped when it grows old, by who sends it: so it waits there.
TEST_F(PriorityTest, UrgentDataWaitsWithItsSender) {
  connect();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 << 20}; });
  auto urgent = open_by(session_->expedited(), sink.target());
  const ByteVector much(1 << 20, 'x');
  gate_->shut();
  size_t taken = 0;
  for (size_t n = 1; n > 0;) {
    n = urgent->write(much);
    taken += n;
    loop_.run_once(false);
  }
  EXPECT_GE(taken, ssh::SendAhead::kLeast);
  EXPECT_LE(taken, 2 * ssh::SendAhead::kLeast);
  gate_->allow(SIZE_MAX);
}

TEST_F(PriorityTest, UrgentDataThatTheConnectionTakesDoesNotWait) {
  connect();
  FlowTarget sink(loop_, [](size_t) { return Flow::Plan{1, 0, 2, 64 << 20}; });
  auto urgent = open_by(session_->expedited(), sink.target());
  const ByteVector much(6 * ssh::SendAhead::kLeast, 'x');
  EXPECT_EQ(urgent->write(much), much.size()) << "in one call";
}

TEST_F(PriorityTest, TheKernelHoldsLittleToo) {
  connect();
  EXPECT_EQ(gate_->unsent_limit(), ssh::SendAhead::kLeast);
}

}  // namespace
}  // namespace tunproxy::testing
