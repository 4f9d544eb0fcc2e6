// Looks names up in threads, with the machine's own resolver or what Loop::look_up_by() says.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"

namespace tunproxy::io {

/// The addresses of `target` in the order of RFC 6724, with its port; never empty on success. A
/// target that is an address is its own answer.
std::unique_ptr<net::Attempt> resolve(Loop& loop, const Target& target,
                                      net::Done<std::vector<Endpoint>> done);

}  // namespace tunproxy::io
