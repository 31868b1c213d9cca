data {
  int<lower=0> n, n_building;
  array[n] int<lower=1, upper=n_building> building;
  vector[n] control, before, days;
  array[n] int<lower=0> caught;
}
transformed data {
  matrix[n, 2] X = append_col(control, before);
  vector[n] log_days = log(days);
}
parameters {
  real mu, tau, beta;
  real<lower=0> sd_building, shape;
  vector[n_building] z_building;
}
model {
  vector[n_building] a_building = mu + sd_building * z_building;
  mu ~ normal(0, 3);
  tau ~ normal(0, 2);
  beta ~ normal(0, 2);
  sd_building ~ std_normal();
  shape ~ gamma(2, 0.5);
  z_building ~ std_normal();
  caught ~ neg_binomial_2_log_glm(X, a_building[building] + log_days, [tau, beta]', shape);
}
