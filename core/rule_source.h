// The rules that a Config asks for.
#pragma once

#include <memory>

#include "core/base/result.h"
#include "core/config.h"
#include "core/rules/rule_set.h"

namespace tunproxy {

/// Reads the file. The file's rules come first, then those given one by one, then the simple form.
/// The default that is asked for counts more than the file's; without either it is the tunnel, or
/// with the simple form nothing. Error usage: which file and line, or which of the rules given one
/// by one, is not understood.
Result<std::shared_ptr<const rules::RuleSet>> make_rules(const RuleSettings& settings);

}  // namespace tunproxy
