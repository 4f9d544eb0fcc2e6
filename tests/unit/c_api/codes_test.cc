// An account with a password and a one-time code: one login, and no other is tried in vain.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>

#include "bindings/c/tunproxy.h"
#include "tests/unit/ssh_login/server.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::c_api {
namespace {

/// Answers everything at once.
struct User {
  tunproxy_tunnel* tunnel = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  std::string log;
  int questions = 0;

  void on_question(tunproxy_question question, const std::string& prompt) {
    const bool password = prompt.find("Password") != std::string::npos;
    const bool colour = prompt.find("Colour") != std::string::npos;
    const std::lock_guard lock(mutex);
    ++questions;
    tunproxy_answer(tunnel, question, password ? "the old password" : colour ? "blue" : "123456");
  }
  void on_log(const char* line) {
    const std::lock_guard lock(mutex);
    log.append(line).append("\n");
    changed.notify_all();
  }
  bool waits_for(const char* line) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(60),
                            [&] { return log.find(line) != std::string::npos; });
  }
};

TEST(OneTimeCodes, TheUserIsAskedOnceAndTheServerIsLeftAlone) {
  if (!testing::DialogueServer::available()) GTEST_SKIP() << "needs python3-asyncssh";
  const testing::ScratchDirectory scratch;
  const testing::DialogueServer server(scratch, "rounds");
  User user;
  tunproxy_callbacks callbacks{};
  callbacks.size = sizeof callbacks;
  callbacks.user = &user;
  callbacks.log = [](void* self, tunproxy_log_level, const char* line) {
    static_cast<User*>(self)->on_log(line);
  };
  callbacks.ask = [](void* self, tunproxy_question question, const char* prompt, int) {
    static_cast<User*>(self)->on_question(question, prompt);
  };
  callbacks.write_packets = [](void*, const tunproxy_packet*, size_t) {};
  ASSERT_EQ(tunproxy_create(&callbacks, &user.tunnel), TUNPROXY_OK);
  const std::string address = "me@127.0.0.1:" + std::to_string(server.port());
  for (const auto& [key, value] : {std::pair<const char*, const char*>{"ssh", address.c_str()},
                                   {"known-hosts", "/dev/null"},
                                   {"host-key-policy", "accept-new"},
                                   {"identity-agent", "none"}}) {
    ASSERT_EQ(tunproxy_set(user.tunnel, key, value), TUNPROXY_OK) << tunproxy_error_text();
  }
  ASSERT_EQ(tunproxy_start_packets(user.tunnel, 1500), TUNPROXY_OK) << tunproxy_error_text();
  EXPECT_TRUE(user.waits_for("UDP and DNS share the SSH connection")) << user.log;
  EXPECT_TRUE(user.waits_for("asks you for something new")) << user.log;
  EXPECT_EQ(tunproxy_destroy(user.tunnel), TUNPROXY_OK);
  EXPECT_EQ(user.questions, 3);
  const std::string connections = testing::read_file(scratch.path("host_key.connections"));
  EXPECT_EQ(std::count(connections.begin(), connections.end(), '\n'), 1) << connections;
}

}  // namespace
}  // namespace tunproxy::c_api
