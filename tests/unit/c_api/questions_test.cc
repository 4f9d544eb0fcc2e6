// Questions to the app, at the C functions and a real server: callbacks that block, answers that
// come too late, keys that are asked about once.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bindings/c/tunproxy.h"
#include "tests/support/sshd.h"

namespace tunproxy::c_api {
namespace {

using testing::Sshd;

/// An app with one tunnel.
class App {
 public:
  App(const Sshd& server, const std::string& host, bool blocks) : blocks_(blocks) {
    tunproxy_callbacks callbacks{};
    callbacks.size = sizeof callbacks;
    callbacks.user = this;
    callbacks.state = [](void* app, tunproxy_state state, tunproxy_result, const char* text) {
      static_cast<App*>(app)->on_state(state, text);
    };
    callbacks.verify_host_key = [](void* app, tunproxy_question question,
                                   const tunproxy_host_key* key) {
      static_cast<App*>(app)->on_question(question, key->line);
    };
    callbacks.resolve = [](void* app, const char*, tunproxy_addresses* addresses) {
      return static_cast<App*>(app)->resolve(*addresses);
    };
    callbacks.write_packets = [](void*, const tunproxy_packet*, size_t) {};
    EXPECT_EQ(tunproxy_create(&callbacks, &tunnel_), TUNPROXY_OK);
    set("ssh", server.user() + "@" + host + ":" + std::to_string(server.port()));
    set("identity", server.identity());
    set("known-hosts", "/dev/null");
    set("host-key-policy", "ask");
    set("udp", "none");
  }
  App(const App&) = delete;
  App& operator=(const App&) = delete;
  ~App() {
    release();
    EXPECT_EQ(tunproxy_destroy(tunnel_), TUNPROXY_OK);
  }

  void set(const char* key, const std::string& value) {
    EXPECT_EQ(tunproxy_set(tunnel_, key, value.c_str()), TUNPROXY_OK) << tunproxy_error_text();
  }
  void start() {
    EXPECT_EQ(tunproxy_start_packets(tunnel_, 1500), TUNPROXY_OK) << tunproxy_error_text();
  }
  int stop(uint32_t timeout) { return tunproxy_stop(tunnel_, timeout); }
  int answer(tunproxy_question question) { return tunproxy_answer(tunnel_, question, "yes"); }
  void release() {
    const std::lock_guard lock(mutex_);
    blocks_ = false;
    changed_.notify_all();
  }
  /// Its next question; 0: none came.
  tunproxy_question question() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return question_ != 0; });
    return std::exchange(question_, 0);
  }
  bool is_asked_for_a_name() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return resolving_; });
  }
  bool comes_online() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return state_ == TUNPROXY_ONLINE; });
  }
  bool loses_the_connection() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return state_ == TUNPROXY_RECONNECTING; });
  }
  int questions() {
    const std::lock_guard lock(mutex_);
    return questions_;
  }
  /// What to keep of the key that it was asked about.
  std::string line() {
    const std::lock_guard lock(mutex_);
    return line_;
  }
  bool fails() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return state_ == TUNPROXY_FAILED; });
  }
  std::vector<tunproxy_state> states() {
    const std::lock_guard lock(mutex_);
    return states_;
  }
  const std::string& text() const { return text_; }

 private:
  static constexpr auto kPatience = std::chrono::seconds(60);

  void on_state(tunproxy_state state, const char* text) {
    const std::lock_guard lock(mutex_);
    if (state != state_) states_.push_back(state);
    state_ = state;
    text_ = text;
    changed_.notify_all();
  }
  void on_question(tunproxy_question question, const char* line) {
    std::unique_lock lock(mutex_);
    question_ = question;
    line_ = line;
    ++questions_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !blocks_; });
  }
  int resolve(tunproxy_addresses& addresses) {
    std::unique_lock lock(mutex_);
    resolving_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !blocks_; });
    addresses.count = 1;
    std::string("127.0.0.1").copy(addresses.text[0], sizeof addresses.text[0] - 1);
    return 0;
  }

  tunproxy_tunnel* tunnel_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool blocks_;
  bool resolving_ = false;
  tunproxy_question question_ = 0;
  int questions_ = 0;
  std::string line_;
  tunproxy_state state_ = TUNPROXY_IDLE;
  std::vector<tunproxy_state> states_;
  std::string text_;
};

/// More than libuv's pool has threads.
constexpr size_t kBlocked = 5;

void expect_that_another_one_works(const Sshd& server) {
  App other(server, "server.test", /*blocks=*/false);
  other.start();
  const tunproxy_question question = other.question();
  ASSERT_NE(question, 0U);
  EXPECT_EQ(other.answer(question), TUNPROXY_OK);
  EXPECT_TRUE(other.comes_online()) << other.text();
}

TEST(BlockingCallbacks, QuestionsHoldUpNoOtherInstance) {
  const Sshd server;
  std::vector<std::unique_ptr<App>> blocked;
  for (size_t i = 0; i < kBlocked; ++i) {
    blocked.push_back(std::make_unique<App>(server, "127.0.0.1", /*blocks=*/true));
    blocked.back()->start();
  }
  for (const auto& app : blocked) EXPECT_NE(app->question(), 0U);
  expect_that_another_one_works(server);
  EXPECT_EQ(blocked[0]->stop(50), TUNPROXY_ERROR_TIMEOUT);
  blocked[0]->release();
  EXPECT_EQ(blocked[0]->stop(60000), TUNPROXY_OK);
}

TEST(BlockingCallbacks, LookUpsHoldUpNoOtherInstance) {
  const Sshd server;
  std::vector<std::unique_ptr<App>> blocked;
  for (size_t i = 0; i < kBlocked; ++i) {
    blocked.push_back(std::make_unique<App>(server, "server.test", /*blocks=*/true));
    blocked.back()->start();
  }
  for (const auto& app : blocked) EXPECT_TRUE(app->is_asked_for_a_name());
  expect_that_another_one_works(server);
}

TEST(Answers, OfAFormerRunAreForNobody) {
  const Sshd server;
  App app(server, "127.0.0.1", /*blocks=*/false);
  app.start();
  const tunproxy_question former = app.question();
  EXPECT_EQ(app.stop(60000), TUNPROXY_OK) << "a question that is open does not hold up the end";
  app.start();
  const tunproxy_question question = app.question();
  EXPECT_EQ(app.answer(former), TUNPROXY_ERROR_ARGUMENT);
  EXPECT_EQ(app.answer(question), TUNPROXY_OK);
  EXPECT_TRUE(app.comes_online()) << app.text();
}

/// No file keeps it; the second run is another one's.
TEST(HostKeys, AreAskedForOnceInARunAndHandedInTheNextTime) {
  Sshd server;
  std::string kept;
  {
    App app(server, "127.0.0.1", /*blocks=*/false);
    app.start();
    EXPECT_EQ(app.answer(app.question()), TUNPROXY_OK);
    EXPECT_TRUE(app.comes_online()) << app.text();
    server.kill();
    EXPECT_TRUE(app.loses_the_connection());
    server.restart();
    EXPECT_TRUE(app.comes_online()) << app.text();
    EXPECT_EQ(app.questions(), 1);
    kept = app.line();
  }
  App app(server, "127.0.0.1", /*blocks=*/false);
  app.set("known-host", kept);
  app.set("host-key-policy", "strict");
  app.start();
  EXPECT_TRUE(app.comes_online()) << app.text();
  EXPECT_EQ(app.questions(), 0);
}

TEST(Secrets, ErrorsNameTheKey) {
  tunproxy_tunnel* tunnel = nullptr;
  ASSERT_EQ(tunproxy_create(nullptr, &tunnel), TUNPROXY_OK);
  const auto error = [&](const char* key, const std::string& bytes) {
    EXPECT_EQ(tunproxy_set_secret(tunnel, key, bytes.data(), bytes.size()), TUNPROXY_ERROR_CONFIG);
    return std::string(tunproxy_error_text());
  };
  EXPECT_EQ(error("ssh-password", ""), "ssh-password: it is empty");
  EXPECT_EQ(error("private-key", "garbage"), "private-key: not a private key");
  EXPECT_EQ(error("passphrase", std::string("a\0b", 3)), "passphrase: it has a NUL in it");
  EXPECT_EQ(tunproxy_destroy(tunnel), TUNPROXY_OK);
}

/// Each of them is dialled and logged in at, and so is the server behind.
TEST(States, OfJumpHostsAreTold) {
  const Sshd server;
  const std::string address = server.user() + "@127.0.0.1:" + std::to_string(server.port());
  App app(server, "127.0.0.1", /*blocks=*/false);
  app.set("jump", address);
  app.set("host-key-policy", "accept-new");
  app.start();
  EXPECT_TRUE(app.comes_online()) << app.text();
  EXPECT_EQ(app.states(),
            (std::vector{TUNPROXY_CONNECTING, TUNPROXY_AUTHENTICATING, TUNPROXY_CONNECTING,
                         TUNPROXY_AUTHENTICATING, TUNPROXY_ONLINE}));
  App refused(server, "127.0.0.1", /*blocks=*/false);
  refused.set("jump", address);
  refused.set("host-key-policy", "strict");
  refused.start();
  EXPECT_TRUE(refused.fails());
  EXPECT_EQ(refused.states(),
            (std::vector{TUNPROXY_CONNECTING, TUNPROXY_AUTHENTICATING, TUNPROXY_FAILED}));
  EXPECT_NE(refused.text().find("the jump host " + address), std::string::npos) << refused.text();
}

}  // namespace
}  // namespace tunproxy::c_api
