/* A provider with one algorithm, a generator that only hands on. OpenSSL makes
 * a primary generator per context and one or two below it per thread; those
 * below ask the primary, which alone knows the kad_random, so a context may
 * move from thread to thread as its owner does. OpenSSL has no way to give a
 * provider a pointer but a parameter, so the pointer's bytes are one. */
#include "identity/crypto_random.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "base/bytes.h"

#define PROVIDER_NAME "kad-random"
#define GENERATOR_NAME "KAD-RANDOM"
#define PARAM_SOURCE "source"
#define STRENGTH 256
#define REQUEST_MAX 65536
/* The end included. */
#define FUNCTION_COUNT 11

typedef struct generator {
  const struct generator *above;
  kad_random *random;
} generator;

static const OSSL_DISPATCH generator_functions[FUNCTION_COUNT];

/* Above the primary stands OpenSSL's seed source, which is not ours. */
static void *new_generator(void *provider, void *above,
                           const OSSL_DISPATCH *functions_above) {
  (void)provider;
  generator *g = OPENSSL_zalloc(sizeof(*g));
  if (g != NULL && functions_above == generator_functions) {
    g->above = above;
  }
  return g;
}

static void free_generator(void *g) {
  OPENSSL_free(g);
}

static int instantiate(void *g, unsigned int strength, int resistance,
                       const unsigned char *text, size_t text_len,
                       const OSSL_PARAM params[]) {
  (void)g;
  (void)strength;
  (void)resistance;
  (void)text;
  (void)text_len;
  (void)params;
  return 1;
}

static int uninstantiate(void *g) {
  (void)g;
  return 1;
}

static int generate(void *context, unsigned char *out, size_t len,
                    unsigned int strength, int resistance,
                    const unsigned char *more, size_t more_len) {
  (void)strength;
  (void)resistance;
  (void)more;
  (void)more_len;
  const generator *g = context;
  while (g->random == NULL && g->above != NULL) {
    g = g->above;
  }
  if (g->random == NULL) {
    return 0;
  }
  kad_random_bytes(g->random, out, len);
  return 1;
}

static int get_params(void *g, OSSL_PARAM params[]) {
  (void)g;
  OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE);
  if (p != NULL && OSSL_PARAM_set_int(p, EVP_RAND_STATE_READY) != 1) {
    return 0;
  }
  p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH);
  if (p != NULL && OSSL_PARAM_set_uint(p, STRENGTH) != 1) {
    return 0;
  }
  p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);
  return p == NULL || OSSL_PARAM_set_size_t(p, REQUEST_MAX) == 1;
}

static int set_params(void *context, const OSSL_PARAM params[]) {
  generator *g = context;
  const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_SOURCE);
  if (p != NULL && p->data_size == sizeof(g->random)) {
    memcpy(&g->random, p->data, sizeof(g->random));
  }
  return 1;
}

/* A context belongs to one thread at a time. */
static int enable_locking(void *g) {
  (void)g;
  return 1;
}

static int lock(void *g) {
  (void)g;
  return 1;
}

static void unlock(void *g) {
  (void)g;
}

#define FUNCTION(id, function) \
  { id, (void (*)(void))(function) }
#define NO_FUNCTION \
  { 0, NULL }

static const OSSL_DISPATCH generator_functions[FUNCTION_COUNT] = {
    FUNCTION(OSSL_FUNC_RAND_NEWCTX, new_generator),
    FUNCTION(OSSL_FUNC_RAND_FREECTX, free_generator),
    FUNCTION(OSSL_FUNC_RAND_INSTANTIATE, instantiate),
    FUNCTION(OSSL_FUNC_RAND_UNINSTANTIATE, uninstantiate),
    FUNCTION(OSSL_FUNC_RAND_GENERATE, generate),
    FUNCTION(OSSL_FUNC_RAND_GET_CTX_PARAMS, get_params),
    FUNCTION(OSSL_FUNC_RAND_SET_CTX_PARAMS, set_params),
    FUNCTION(OSSL_FUNC_RAND_ENABLE_LOCKING, enable_locking),
    FUNCTION(OSSL_FUNC_RAND_LOCK, lock),
    FUNCTION(OSSL_FUNC_RAND_UNLOCK, unlock),
    NO_FUNCTION,
};

static const OSSL_ALGORITHM algorithms[] = {
    {GENERATOR_NAME, "provider=" PROVIDER_NAME, generator_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation,
                                   int *no_cache) {
  (void)provider;
  *no_cache = 0;
  return operation == OSSL_OP_RAND ? algorithms : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {
    FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
    NO_FUNCTION,
};

static int init_provider(const OSSL_CORE_HANDLE *handle,
                         const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                         void **context) {
  (void)in;
  *out = provider_functions;
  /* Any pointer that is not NULL. */
  *context = (void *)(uintptr_t)handle;
  return 1;
}

static bool load(kad__crypto_random *c) {
  c->library = OSSL_LIB_CTX_new();
  if (c->library == NULL || OSSL_PROVIDER_add_builtin(c->library, PROVIDER_NAME,
                                                      init_provider) != 1) {
    return false;
  }
  c->algorithms = OSSL_PROVIDER_load(c->library, "default");
  c->generator = OSSL_PROVIDER_load(c->library, PROVIDER_NAME);
  return c->algorithms != NULL && c->generator != NULL &&
         RAND_set_DRBG_type(c->library, GENERATOR_NAME, NULL, NULL, NULL) ==
             1 &&
         RAND_set_seed_source_type(c->library, GENERATOR_NAME, NULL) == 1;
}

static bool connect(kad__crypto_random *c, kad_random *random) {
  EVP_RAND_CTX *primary = RAND_get0_primary(c->library);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(PARAM_SOURCE, &random, sizeof(random)),
      OSSL_PARAM_construct_end(),
  };
  return primary != NULL && EVP_RAND_CTX_set_params(primary, params) == 1;
}

int kad__crypto_random_init(kad__crypto_random *c, kad_random *random) {
  *c = (kad__crypto_random){0};
  ERR_set_mark();
  bool done = load(c) && connect(c, random);
  if (!done) {
    kad__crypto_random_fini(c);
  }
  ERR_pop_to_mark();
  return done ? 0 : KAD_E_CRYPTO;
}

void kad__crypto_random_fini(kad__crypto_random *c) {
  if (c->generator != NULL) {
    OSSL_PROVIDER_unload(c->generator);
  }
  if (c->algorithms != NULL) {
    OSSL_PROVIDER_unload(c->algorithms);
  }
  OSSL_LIB_CTX_free(c->library);
  *c = (kad__crypto_random){0};
}
