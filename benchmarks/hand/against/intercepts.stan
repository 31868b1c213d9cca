// Gaussian outcome; intercepts vary across a and across b, nested or crossed.
data {
  int<lower=0> n, p, n_a, n_b;
  array[n] int<lower=1, upper=n_a> a;
  array[n] int<lower=1, upper=n_b> b;
  matrix[n, p] X;
  vector[n] y;
  real mean_mu, sd_mu;
  int<lower=0, upper=1> centred;
}
parameters {
  real mu;
  vector[p] beta;
  real<lower=0> sd_a, sd_b, sigma;
  vector[n_a] z_a;
  vector[n_b] z_b;
}
transformed parameters {
  vector[n_a] effect_a = centred ? z_a : sd_a * z_a;
  vector[n_b] effect_b = centred ? z_b : sd_b * z_b;
}
model {
  mu ~ normal(mean_mu, sd_mu);
  beta ~ normal(0, 5);
  sd_a ~ normal(0, 5);
  sd_b ~ normal(0, 5);
  sigma ~ normal(0, 10);
  z_a ~ normal(0, centred ? sd_a : 1);
  z_b ~ normal(0, centred ? sd_b : 1);
  y ~ normal_id_glm(X, mu + effect_a[a] + effect_b[b], beta, sigma);
}
