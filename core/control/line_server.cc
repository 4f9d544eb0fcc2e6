#include "core/control/line_server.h"

#include <utility>

namespace tunproxy::control {

void LineServer::serve(std::unique_ptr<net::Stream> stream) {
  if (clients_.size() >= kMaxClients) return loop_.retire(std::move(stream));
  auto made = std::make_unique<Client>();
  Client* const client = made.get();
  client->timer.emplace(loop_, [this, client] { close(*client); });
  client->self = clients_.insert(clients_.end(), std::move(made));
  client->stream = std::move(stream);
  client->timer->start(kPatience);
  client->stream->on_progress([this, client] { look_again(*client); });
}

void LineServer::look_again(Client& client) {
  if (client.closed) return;
  if (client.stream->error() != nullptr) return close(client);
  while (flush(client) && !client.last && answer(client)) client.timer->start(kPatience);
  const bool all_out = client.sent == client.out.size();
  if (client.in.size() >= kMaxRequest) return close(client);
  if (all_out && (client.last || client.stream->ended())) client.stream->finish();
  if (client.stream->ended() && (client.stream->finished() || !all_out)) close(client);
}

// One answer to one request, as far as a whole one is there.
bool LineServer::answer(Client& client) {
  for (Bytes bytes = client.stream->peek(); !bytes.empty() && client.in.size() < kMaxRequest;
       bytes = client.stream->peek()) {
    const Bytes some = bytes.first(std::min(bytes.size(), kMaxRequest - client.in.size()));
    client.in += as_text(some);
    client.stream->consume(some.size());
  }
  auto answer = on_text_(client.in);
  if (!answer) return false;
  client.in.erase(0, answer->taken);
  client.out = std::move(answer->text);
  client.sent = 0;
  client.last = answer->last;
  return true;
}

// True if everything has been taken. The next request is not looked at before that.
bool LineServer::flush(Client& client) {
  const Bytes rest = as_bytes(client.out).subspan(client.sent);
  client.sent += client.stream->write(rest);
  return client.sent == client.out.size();
}

void LineServer::close(Client& client) {
  if (std::exchange(client.closed, true)) return;
  client.timer->stop();
  const auto self = client.self;
  loop_.retire(std::move(*self));
  clients_.erase(self);
}

}  // namespace tunproxy::control
