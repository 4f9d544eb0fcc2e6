// Flow: what the account knows of one flow.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/address.h"
#include "core/base/error.h"
#include "core/base/time.h"
#include "core/rules/rule.h"

namespace tunproxy::account {

enum class Source : uint8_t { tun, socks };
enum class Command : uint8_t { connect, bind, associate };
/// deciding --(rules)--> opening --(far end)--> open; each --> ended
enum class State : uint8_t { deciding, opening, open, ended };

/// Stable, short names for logs and counters.
std::string_view to_string(Source source);
std::string_view to_string(Command command);
std::string_view to_string(State state);
/// "2026-11-21T01:02:03.456Z"
std::string time_text(std::chrono::system_clock::time_point at);

/// How a flow ended.
struct Ending {
  bool complete = false;           ///< both directions, orderly
  std::optional<ErrorCode> error;  ///< why it failed; neither: the program here let go of it

  std::string_view text() const;  ///< "complete", "closed", or the error's name
};

/// The program that made a flow of the TUN.
struct Origin {
  Endpoint program;    ///< its end
  int32_t owner = -1;  ///< its user id, where the platform tells; -1: unknown
};

struct Flow {
  uint64_t id = 0;
  Source source = Source::tun;
  Command command = Command::connect;
  State state = State::deciding;
  rules::Action way = rules::Action::tunnel;  ///< once decided
  Target target;                              ///< of an association: the first one
  std::optional<Origin> origin;               ///< if it is known
  std::string user;                           ///< empty: nobody said
  std::string rule;                           ///< that decided: RuleSet::name_of(); empty: none yet
  Instant started;
  std::chrono::system_clock::time_point started_at;
  std::string carrier;  ///< of an association: net::DatagramSession::carrier(); empty: none yet
  uint64_t up = 0;      ///< bytes of payload
  uint64_t down = 0;
  Ending ending;  ///< both of one that ended
  Instant ended;

  rules::Protocol protocol() const {
    return command == Command::associate ? rules::Protocol::udp : rules::Protocol::tcp;
  }
};

}  // namespace tunproxy::account
