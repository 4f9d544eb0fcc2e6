#include "core/account/counted_stream.h"

namespace tunproxy::account {

CountedStream::~CountedStream() {
  const Error* const error = stream_->error();
  if (error != nullptr) {
    entry_.end({false, error->code});
  } else {
    entry_.end({stream_->ended() && stream_->finished(), std::nullopt});
  }
}

}  // namespace tunproxy::account
