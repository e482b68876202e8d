// The same in C++17.
#include <kadmium/kadmium.h>

#include <iostream>
#include <memory>
#include <string>

namespace {

struct ServiceStop {
  void operator()(kad_service *service) const { kad_service_stop(service); }
};

}  // namespace

int main() {
  const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "/test/kad/1.0.0";
  options.listen = listen;
  options.listen_count = 1;
  kad_service *started = nullptr;
  bool listening = false;
  const auto observer = [](void *user, const kad_event *event) {
    if (event->type == KAD_EVENT_LISTENING) {
      *static_cast<bool *>(user) = true;
    }
  };
  if (kad_service_start(&started, &options, observer, &listening) != 0) {
    return 1;
  }
  std::unique_ptr<kad_service, ServiceStop> service(started);
  const std::string key = "key";
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = {reinterpret_cast<const uint8_t *>(key.data()), key.size()};
  const int error = kad_service_call(service.get(), &get, nullptr, nullptr);
  service.reset();
  if (!listening || error != KAD_E_NO_PEERS) {
    std::cout << kad_strerror(error) << '\n';
    return 2;
  }
  std::cout << "kadmium " << kad_version() << " works\n";
  return 0;
}
