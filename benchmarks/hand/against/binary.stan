// Binary outcome; the intercept varies across a.
data {
  int<lower=0> n, p, n_a;
  array[n] int<lower=1, upper=n_a> a;
  matrix[n, p] X;
  array[n] int<lower=0, upper=1> y;
  real mean_mu, sd_mu;
  int<lower=0, upper=1> centred;
}
parameters {
  real mu;
  vector[p] beta;
  real<lower=0> sd_a;
  vector[n_a] z_a;
}
transformed parameters {
  vector[n_a] effect_a = centred ? z_a : sd_a * z_a;
}
model {
  mu ~ normal(mean_mu, sd_mu);
  beta ~ normal(0, 5);
  sd_a ~ normal(0, 5);
  z_a ~ normal(0, centred ? sd_a : 1);
  y ~ bernoulli_logit_glm(X, mu + effect_a[a], beta);
}
