// Gaussian outcome; intercept and effect of the first column of X vary together across a.
data {
  int<lower=0> n, p, n_a;
  array[n] int<lower=1, upper=n_a> a;
  matrix[n, p] X;
  vector[n] y;
  real mean_mu, sd_mu;
  int<lower=0, upper=1> centred;
}
parameters {
  real mu;
  vector[p] beta;
  vector<lower=0>[2] sd_a;
  real<lower=0> sigma;
  cholesky_factor_corr[2] L;
  array[n_a] vector[2] z;
}
transformed parameters {
  matrix[n_a, 2] effect_a;
  {
    matrix[2, 2] S = diag_pre_multiply(sd_a, L);
    for (j in 1 : n_a) effect_a[j] = centred ? z[j]' : (S * z[j])';
  }
}
model {
  mu ~ normal(mean_mu, sd_mu);
  beta ~ normal(0, 5);
  sd_a ~ normal(0, 5);
  sigma ~ normal(0, 10);
  L ~ lkj_corr_cholesky(2);
  if (centred) z ~ multi_normal_cholesky(rep_vector(0, 2), diag_pre_multiply(sd_a, L));
  else for (j in 1 : n_a) z[j] ~ std_normal();
  y ~ normal_id_glm(X, mu + effect_a[a, 1] + effect_a[a, 2] .* X[ : , 1], beta, sigma);
}
generated quantities {
  real rho = L[2, 1];
}
