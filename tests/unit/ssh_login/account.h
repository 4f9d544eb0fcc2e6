// A throw-away user of the system with a password.
#pragma once

#include <string>

namespace tunproxy::testing {

/// Needs root. Removed at the end.
class Account {
 public:
  explicit Account(const std::string& password);
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  bool made() const { return made_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  bool made_ = false;
};

}  // namespace tunproxy::testing
