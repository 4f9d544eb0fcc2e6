package android.net;

import android.app.Service;
import android.content.pm.PackageManager;
import android.os.ParcelFileDescriptor;

/** A stub of the platform's class, to compile against. */
public class VpnService extends Service {
  /** A stub of the platform's class, to compile against. */
  public class Builder {
    public Builder setSession(String session) {
      return this;
    }

    public Builder setMtu(int mtu) {
      return this;
    }

    public Builder addAddress(String address, int prefixLength) {
      return this;
    }

    public Builder addRoute(String address, int prefixLength) {
      return this;
    }

    public Builder excludeRoute(IpPrefix prefix) {
      return this;
    }

    public Builder addDnsServer(String address) {
      return this;
    }

    public Builder setMetered(boolean metered) {
      return this;
    }

    public Builder setUnderlyingNetworks(Network[] networks) {
      return this;
    }

    public Builder addAllowedApplication(String name)
        throws PackageManager.NameNotFoundException {
      return this;
    }

    public Builder addDisallowedApplication(String name)
        throws PackageManager.NameNotFoundException {
      return this;
    }

    public ParcelFileDescriptor establish() {
      return null;
    }
  }

  public void onRevoke() {}

  public boolean protect(int socket) {
    return true;
  }

  public boolean setUnderlyingNetworks(Network[] networks) {
    return true;
  }
}
