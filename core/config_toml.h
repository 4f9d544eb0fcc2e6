// The configuration as TOML: the keys of core/config_schema.h, all at the top level. Lists may also
// be written as a text with one entry a line.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/config.h"

namespace tunproxy {

/// Sets in `config` what `text` says; a list replaces the one before. Errors (usage) are one line
/// "SOURCE:LINE: KEY: what is wrong"; `config` is half done then.
Result<void> merge_toml(Config& config, std::string_view text, std::string_view source);
/// The same into a new one. What contradicts itself is left to Config::check().
Result<Config> parse_toml(std::string_view text, std::string_view source);
/// A file, of at most 1 MB; warns of one with secrets that others can read.
Result<void> merge_toml_file(Config& config, const std::string& path);

/// All that is set or has a default, in the schema's order, for merge_toml() to read. Secrets are
/// comments that say that they are set.
std::string print_toml(const Config& config);

}  // namespace tunproxy
