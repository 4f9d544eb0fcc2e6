#include "tests/unit/ssh_login/account.h"

#include <unistd.h>

#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::testing {

Account::Account(const std::string& password) : name_("tptest" + std::to_string(::getpid())) {
  std::string hash = run({"openssl", "passwd", "-6", "-stdin"}, password + "\n").output;
  while (!hash.empty() && hash.back() == '\n') hash.pop_back();
  made_ = run({"useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", hash, name_}).status == 0;
}

Account::~Account() {
  if (made_) run({"userdel", "-f", name_});
}

}  // namespace tunproxy::testing
