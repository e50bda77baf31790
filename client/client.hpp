// The one header a user of the library includes. client/README.md shows how the parts are used.
#pragma once

#include "client/admin.hpp"          // IWYU pragma: export
#include "client/async_consumer.hpp" // IWYU pragma: export
#include "client/awaitable.hpp"      // IWYU pragma: export
#include "client/consumer.hpp"       // IWYU pragma: export
#include "client/offset_store.hpp"   // IWYU pragma: export
#include "client/producer.hpp"       // IWYU pragma: export
