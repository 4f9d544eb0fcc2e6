#include "core/config_toml.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/base/log.h"
#include "core/base/secret.h"
#include "core/base/unique_fd.h"
#include "core/config_schema.h"

// Some of its assertions are about the input ("[}"), and without them it reports an error. NDEBUG
// would turn them into promises to the optimizer.
#undef NDEBUG
#define TOML_ASSERT(condition) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace tunproxy {
namespace {

constexpr size_t kMaxFile = 1 << 20;
constexpr size_t kMaxEntries = 100'000;  // of a list

struct Place {
  std::string_view source;
  std::string_view key;
  const toml::node& node;
};

Error wrong(const Place& place, std::string_view what) {
  return {ErrorCode::usage, fmt::format("{}:{}: {}: {}", place.source,
                                        place.node.source().begin.line, place.key, what)};
}

std::string_view name_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::text:
      return "a text in quotes";
    case ValueKind::number:
      return "a number";
    case ValueKind::flag:
      return "true or false";
  }
  return {};
}

// One value as set() takes it; nothing if it is of another kind.
std::optional<std::string> text_of(const toml::node& node, ValueKind kind) {
  switch (kind) {
    case ValueKind::text:
      if (const auto* text = node.as_string()) return text->get();
      break;
    case ValueKind::number:
      if (const auto* number = node.as_integer()) return std::to_string(number->get());
      break;
    case ValueKind::flag:
      if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
      break;
  }
  return std::nullopt;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = line.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kSpace) - begin + 1);
}

Result<void> set_one(Config& config, const Setting& setting, const Place& place,
                     std::string_view text) {
  if (auto done = setting.set(config, text); !done) return wrong(place, done.error().message);
  return {};
}

// A secret's copy is wiped when it is done with.
class Value {
 public:
  Value(const toml::node& node, const Setting& setting)
      : text_(text_of(node, setting.kind)), secret_(setting.secret) {}
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() {
    if (secret_ && text_) wipe(*text_);
  }

  explicit operator bool() const { return text_.has_value(); }
  std::string_view operator*() const { return *text_; }

 private:
  std::optional<std::string> text_;
  const bool secret_;
};

// A list as a text: an entry a line, empty lines and comments left out.
Result<void> set_lines(Config& config, const Setting& setting, const Place& place,
                       std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    if (auto done = set_one(config, setting, place, line); !done) return done;
  }
  return {};
}

Result<void> set_list(Config& config, const Setting& setting, const Place& place) {
  setting.reset(config);
  const toml::array* array = place.node.as_array();
  if (array == nullptr) {
    const Value text(place.node, setting);
    if (!text) return wrong(place, "it must be a list of texts");
    if (setting.secret) return set_one(config, setting, place, *text);
    return set_lines(config, setting, place, *text);
  }
  if (array->size() > kMaxEntries) return wrong(place, "the list is too long");
  for (const toml::node& element : *array) {
    const Place at{place.source, place.key, element};
    const Value text(element, setting);
    if (!text) return wrong(at, fmt::format("each of the list must be {}", name_of(setting.kind)));
    if (auto done = set_one(config, setting, at, *text); !done) return done;
  }
  return {};
}

Result<void> set_node(Config& config, const Setting& setting, const Place& place) {
  if (setting.list) return set_list(config, setting, place);
  const Value text(place.node, setting);
  if (!text) return wrong(place, fmt::format("it must be {}", name_of(setting.kind)));
  return set_one(config, setting, place, *text);
}

// For a message: what stands in the file may be anything.
std::string one_line(std::string_view text) {
  constexpr size_t kLongest = 200;
  std::string line(text.substr(0, kLongest));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
  return line;
}

bool holds_secrets(const Config& config) {
  return std::any_of(settings().begin(), settings().end(), [&](const Setting& setting) {
    return setting.secret && !setting.get(config).empty();
  });
}

Result<Secret> read_whole(int fd, const std::string& path) {
  std::string text(kMaxFile + 1, '\0');  // at once, so that growing leaves no copies of secrets
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
    if (got < 0) return error_from_errno(errno, "reading " + path);
    if (got == 0) {
      Secret whole(std::string_view(text).substr(0, size));
      wipe(text);
      return whole;
    }
    size += static_cast<size_t>(got);
  }
  return Error{ErrorCode::usage, path + " is too long for a configuration"};
}

// What the parser keeps of the text.
void wipe_texts(toml::node& node) {
  if (auto* text = node.as_string()) wipe(text->get());
  if (auto* array = node.as_array()) {
    for (toml::node& element : *array) wipe_texts(element);
  }
  if (auto* table = node.as_table()) {
    for (auto&& [key, value] : *table) wipe_texts(value);
  }
}

Result<void> set_all(Config& config, const toml::table& table, std::string_view source) {
  for (const auto& [key, node] : table) {
    const Setting* setting = find_setting(key.str());
    if (setting == nullptr) {
      return Error{ErrorCode::usage, fmt::format("{}:{}: {}", source, key.source().begin.line,
                                                 one_line(unknown_key(key.str())))};
    }
    if (auto done = set_node(config, *setting, {source, setting->key, node}); !done) return done;
  }
  return {};
}

// A text in TOML's basic strings.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string printed(const Setting& setting, const std::string& text) {
  return setting.kind == ValueKind::text ? in_quotes(text) : text;
}

std::string print_list(const Setting& setting, const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    out += (out.size() > 1 ? ", " : "") + printed(setting, text);
  }
  return out + "]";
}

}  // namespace

Result<void> merge_toml(Config& config, std::string_view text, std::string_view source) {
  toml::parse_result parsed = toml::parse(text, source);
  if (!parsed) {
    return Error{ErrorCode::usage,
                 fmt::format("{}:{}: {}", source, parsed.error().source().begin.line,
                             one_line(parsed.error().description()))};
  }
  auto done = set_all(config, parsed.table(), source);
  wipe_texts(parsed.table());
  return done;
}

Result<Config> parse_toml(std::string_view text, std::string_view source) {
  Config config;
  if (auto merged = merge_toml(config, text, source); !merged) return merged.error();
  return config;
}

Result<void> merge_toml_file(Config& config, const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return Error{ErrorCode::usage, error_from_errno(errno, path).message};
  auto text = read_whole(fd.get(), path);
  if (!text) return Error{ErrorCode::usage, text.error().message};
  if (auto merged = merge_toml(config, text->text(), path); !merged) return merged;
  struct stat status {};
  const bool others_read = ::fstat(fd.get(), &status) == 0 && (status.st_mode & 077) != 0;
  if (others_read && holds_secrets(config)) {
    log::warn("{} holds secrets and others can read it: chmod 600 {}", path, path);
  }
  return {};
}

std::string print_toml(const Config& config) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : settings()) {
    const std::vector<std::string> texts = setting.get(config);
    if (texts.empty()) continue;
    if (std::exchange(group, setting.group) != setting.group) {
      out += fmt::format("{}# {}\n", out.empty() ? "" : "\n", setting.group);
    }
    if (setting.secret) {
      out += fmt::format("# {} is set and not shown\n", setting.key);
    } else if (setting.list) {
      out += fmt::format("{} = {}\n", setting.key, print_list(setting, texts));
    } else {
      out += fmt::format("{} = {}\n", setting.key, printed(setting, texts.front()));
    }
  }
  return out;
}

}  // namespace tunproxy
