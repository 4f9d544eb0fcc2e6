// Asks the user for secrets on behalf of authentication, or finds the answer among those
// remembered.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/ssh/auth_credentials.h"
#include "core/ssh/prompter.h"

namespace tunproxy::ssh {

/// Used in the worker thread, but waiting() in any.
class Questions {
 public:
  /// `prompter` may be null: nobody to ask. REQUIRES: `cancelled` outlives this.
  Questions(Prompter* prompter, std::shared_ptr<Credentials> credentials,
            const io::Event& cancelled)
      : prompter_(prompter), credentials_(std::move(credentials)), cancelled_(cancelled) {}

  bool anybody() const { return prompter_ != nullptr; }
  bool waiting() const { return waiting_; }
  std::atomic<bool>* waiting_flag() { return &waiting_; }
  Prompter* prompter() const { return prompter_; }
  Credentials& credentials() { return *credentials_; }

  void show(std::string_view text) const;
  /// Blocks until the user answered. An Error: nobody is there, or cancelled.
  Result<Secret> ask(std::string_view question, bool echo);

 private:
  Prompter* prompter_;
  std::shared_ptr<Credentials> credentials_;
  const io::Event& cancelled_;
  std::atomic<bool> waiting_ = false;
};

}  // namespace tunproxy::ssh
