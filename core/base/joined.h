// What became of several things that were all tried.
#pragma once

#include <initializer_list>
#include <string>

#include "core/base/result.h"

namespace tunproxy {

/// Success if all are; else one Error that says what went wrong in each, with the first's code.
inline Result<void> joined(std::initializer_list<Result<void>> outcomes) {
  Result<void> all;
  for (const Result<void>& outcome : outcomes) {
    if (outcome) continue;
    all = all ? outcome.error()
              : Error{all.error().code, all.error().message + "; " + outcome.error().message};
  }
  return all;
}

}  // namespace tunproxy
