// AppPrompter: asks the embedding program, which answers now or later, from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "bindings/c/tunproxy.h"
#include "core/ssh/prompter.h"

namespace tunproxy::c_api {

/// Thread-safe. The callbacks run in the thread that has to know.
class AppPrompter final : public ssh::Prompter {
 public:
  struct Callbacks {
    std::function<void(std::string_view text)> show;
    /// Empty: there is nobody to ask.
    std::function<void(tunproxy_question, const std::string& prompt, bool echo)> ask;
    std::function<void(tunproxy_question, const ssh::UnknownHostKey& key)> verify_host_key;
  };

  explicit AppPrompter(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  void show(std::string_view text) override;
  Result<std::string> ask(std::string_view question, bool echo) override;
  Trust trust(const ssh::UnknownHostKey& key) override;
  void cancel() override;

  /// The program's word; nullopt: it refuses. False: nobody waits for this one.
  bool answer(tunproxy_question question, std::optional<std::string> answer);

 private:
  Result<std::string> wait_for(const std::function<void(tunproxy_question)>& put);

  const Callbacks callbacks_;
  std::mutex mutex_;
  std::condition_variable answered_;
  struct Pending {
    bool answered = false;
    std::optional<std::string> answer;
  };
  std::map<tunproxy_question, Pending> pending_;
  tunproxy_question last_ = 0;
  bool cancelled_ = false;
};

}  // namespace tunproxy::c_api
