#include "core/ssh/proxy_command.h"

#include <fmt/format.h>

#include <utility>

namespace tunproxy::ssh {
namespace {

constexpr std::string_view kMetacharacters = "'`\"$\\;&<>|(){}*?~#!";

// They come into the shell's line as they are, perhaps from a link or a file of somebody else.
Result<std::string> plain(const char* what, const std::string& text) {
  bool harmless = !text.empty() && text.front() != '-';
  for (const unsigned char c : text) {
    harmless =
        harmless && c > 0x20 && c != 0x7f && kMetacharacters.find(c) == std::string_view::npos;
  }
  if (harmless) return text;
  return Error{ErrorCode::usage,
               fmt::format("the {} has characters that a ProxyCommand must not be given", what)};
}

Result<std::string> replacement(char token, const ProxyCommandOptions& options,
                                const Target& target) {
  switch (token) {
    case 'h':
      return plain("SSH server's name", target.host());
    case 'n':
      return plain("SSH server's name", options.name.empty() ? target.host() : options.name);
    case 'p':
      return std::to_string(target.port());
    case 'r':
      return plain("SSH user's name", options.user);
    case '%':
      return std::string("%");
    default:
      return Error{
          ErrorCode::usage,
          fmt::format("ProxyCommand: only %h, %n, %p, %r and %% can be replaced, not %{}", token)};
  }
}

}  // namespace

Result<std::string> expand_proxy_command(const ProxyCommandOptions& options, const Target& target) {
  std::string expanded;
  for (size_t i = 0; i < options.command.size(); ++i) {
    if (options.command[i] != '%') {
      expanded += options.command[i];
      continue;
    }
    const char token = ++i < options.command.size() ? options.command[i] : ' ';
    auto text = replacement(token, options, target);
    if (!text) return text;
    expanded += *text;
  }
  return expanded;
}

namespace {

// Delivers, from the loop, what is known at once.
class Started final : public net::Attempt {
 public:
  using Outcome = Result<std::unique_ptr<net::Stream>>;

  Started(io::Loop& loop, Outcome outcome, net::Done<std::unique_ptr<net::Stream>> done)
      : outcome_(std::move(outcome)), done_(std::move(done)), deliver_(loop, [this] {
          const auto tell = std::exchange(done_, nullptr);
          tell(std::move(outcome_));  // may destroy this
        }) {
    deliver_.schedule();
  }

 private:
  Outcome outcome_;
  net::Done<std::unique_ptr<net::Stream>> done_;
  io::Task deliver_;
};

}  // namespace

std::unique_ptr<net::Attempt> ProxyCommand::connect(const Target& target,
                                                    net::Done<std::unique_ptr<net::Stream>> done) {
  const auto start = [&]() -> Started::Outcome {
    auto command = expand_proxy_command(options_, target);
    if (!command) return command.error();
    auto child = io::Child::start(
        loop_, {{"/bin/sh", "-c", "exec " + *command}, "the ProxyCommand", options_.prepare, true});
    if (!child) return child.error();
    return std::unique_ptr<net::Stream>(std::move(*child));
  };
  return std::make_unique<Started>(loop_, start(), std::move(done));
}

}  // namespace tunproxy::ssh
