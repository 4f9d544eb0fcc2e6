// In place of child.cc on phones, where apps start no processes.
#include "core/io/child.h"

namespace tunproxy::io {

struct Child::Pipes {};

Result<std::unique_ptr<Child>> Child::start(Loop&, const ChildOptions& options) {
  return Error{ErrorCode::usage,
               "cannot run " + options.argv[0] + ": apps start no programs on this system"};
}

Child::~Child() = default;

void Child::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
}

void Child::consume(size_t n) {
  from_->consume(n);
}

}  // namespace tunproxy::io
