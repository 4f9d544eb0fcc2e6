// A tunnel whose last reference goes in a callback ends all the same, and leaves nothing behind.
import Foundation
import TunProxy

final class Ear: TunProxyDelegate {
    var tunnel: TunProxy?
    let done = DispatchSemaphore(value: 0)

    func tunnel(_: TunProxy, changedTo state: TunProxyState, reason: TunProxyError?) {
        guard state == .failed else { return }
        if reason == nil { fatalError("it failed without a reason") }
        tunnel = nil
        done.signal()
    }
}

do {
    try TunProxy().set("no-such-key", "1")
    fatalError("a key that does not exist")
} catch let error as TunProxyError {
    if !error.description.contains("no-such-key") { fatalError(error.description) }
}

let most = 16  // TUNPROXY_MAX_INSTANCES
for _ in 0..<3 * most {
    let ear = Ear()
    var made: TunProxy? = nil
    while made == nil { made = try? TunProxy(delegate: ear) }  // the former ones end in their own time
    try made!.set("ssh", "user@127.0.0.1:1")  // nobody listens there
    try made!.set("host-key-policy", "strict")
    ear.tunnel = made
    try made!.startPackets(mtu: 1400)
    _ = made!.push([Data([0x45, 0]), Data()])
    made = nil
    ear.done.wait()
}
var all: [TunProxy] = []
while all.count < most {
    if let made = try? TunProxy() { all.append(made) }
}
print("all of them ended")
