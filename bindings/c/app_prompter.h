// AppPrompter: asks the embedding program, which answers now or later, from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
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
  Result<Secret> ask(std::string_view question, bool echo, const io::Event& cancelled) override;
  Result<Trust> trust(const ssh::UnknownHostKey& key, const io::Event& cancelled) override;

  /// The program's word; nullopt: it refuses. False: nobody waits for this one.
  bool answer(tunproxy_question question, std::optional<Secret> answer);

 private:
  struct Pending {
    io::Event answered;
    std::optional<Secret> answer;
  };

  Result<Secret> wait_for(const std::function<void(tunproxy_question)>& put,
                          const io::Event& cancelled);

  const Callbacks callbacks_;
  std::mutex mutex_;  // guards what follows
  std::map<tunproxy_question, std::shared_ptr<Pending>> pending_;
};

}  // namespace tunproxy::c_api
